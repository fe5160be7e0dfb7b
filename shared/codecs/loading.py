"""From a name or a bundle's folder to the half of a codec that is wanted; the other takes no memory."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import torch
from pydantic import BaseModel, ValidationError

from shared.bitstream.header import MODEL_ID_BYTES
from shared.bundle import Bundle, Manifest, identity, read_bundle, read_manifest, shipped_bundle
from shared.codecs.baselines import baseline, baseline_names
from shared.codecs.halves import LatentDecoder, LatentEncoder, Terms, ToldLatentEncoder
from shared.codecs.interface import AnyEncoder, Codec, Decoder
from shared.codecs.ladder import Ladder
from shared.codecs.own import OwnHalves
from shared.codecs.parts import DECODER, ENCODER, Parts
from shared.errors import BundleError, UnknownCodecError
from shared.latents.interface import Sections
from shared.networks.precision import Precision, default_device, default_precision
from shared.systems.catalogue import System, system, systems

__all__ = [
    "bundle_folder",
    "check_bundle",
    "codec_names",
    "decoder_of",
    "empty_parts",
    "encoder_of",
    "frozen_size",
    "get_codec",
    "levels_of",
    "load_bundle",
    "load_codec",
    "load_decoder",
    "load_encoder",
    "load_parts",
]


def codec_names() -> tuple[str, ...]:
    """The names of all codecs, sorted: systems, and baselines that this machine can write."""
    return tuple(sorted((*systems(), *baseline_names())))


def bundle_folder(row: System) -> Path:
    """Where a system's weights are.

    Raises:
        BundleError: as :func:`shipped_bundle`.
    """
    return shipped_bundle(row.name) if row.bundle is None else Path(row.bundle)


def _manifest(bundle: Bundle) -> Manifest:
    if not isinstance(bundle.manifest, Manifest):
        raise BundleError(f"bundle {bundle.manifest.codec} holds a matcher, no codec")
    return bundle.manifest


def own_halves(row: System) -> OwnHalves | None:
    """How a system is put together that has no parts; None for one that has."""
    found = getattr(import_module(row.module), "HALVES", None)
    assert found is None or isinstance(found, OwnHalves)
    return found


def levels_of(row: System) -> tuple[tuple[int, ...], int]:
    """The levels of a system, coarsest first, and the one for those who name none; loads no weights.

    Raises:
        BundleError: its bundle cannot be read.
    """
    manifest = read_manifest(bundle_folder(row))
    assert isinstance(manifest, Manifest)
    own = own_halves(row)
    if own is not None:
        return own.qualities, own.qualities[len(own.qualities) // 2]
    ladder = empty_parts(row, manifest.size).ladder
    return tuple(ladder.plain), ladder.default


def empty_parts(row: System, size: object) -> Parts:
    """A system's figure without numbers: no memory is taken.

    Raises:
        pydantic.ValidationError: ``size`` is none of the system's.
    """
    module = import_module(row.module)
    with torch.device("meta"):
        parts = module.parts(module.Size.model_validate(size))
    assert isinstance(parts, Parts)
    return parts


def frozen_size(name: str) -> BaseModel:
    """The size of a shipped stream's networks, for systems that stand on it.

    Raises:
        BundleError: it cannot be read.
    """
    row = system(name)
    manifest = read_manifest(bundle_folder(row))
    size = import_module(row.module).Size.model_validate(manifest.size)
    assert isinstance(size, BaseModel)
    return size


def load_bundle(folder: Path) -> Bundle:
    """Read a system's bundle, and hold its model id against its numbers.

    Raises:
        BundleError: missing, damaged, of another kind, or its ids do not match its numbers.
    """
    bundle = read_bundle(folder)
    manifest = _manifest(bundle)
    row = system(manifest.codec)
    own = own_halves(row)
    try:
        size = import_module(row.module).Size.model_validate(manifest.size)
        parts = None if own else empty_parts(row, manifest.size)
    except ValidationError as error:
        raise BundleError(f"bundle {folder}: {error}") from None
    if own is not None:
        found = own.model_id(bundle)
    elif parts is None or parts.stream:
        return bundle
    else:
        found = identity(row.stream, size, bundle.tensors, parts.latent.stream_sections)
    if found != manifest.model_id:
        raise BundleError(f"bundle {folder}: the model id does not match the tensors")
    return bundle


def load_parts(bundle: Bundle, *halves: str) -> Parts:
    """The parts that these halves need, in float32 on the CPU; the others hold no numbers.

    Raises:
        BundleError: numbers are missing, do not fit, or are another stream's.
    """
    manifest = _manifest(bundle)
    row = system(manifest.codec)
    try:
        parts = empty_parts(row, manifest.size)
        needed = {name for half in halves for name in parts.sections(half)}
        parts.load(_sections(bundle, parts, needed))
    except (ValidationError, RuntimeError, KeyError, ValueError) as error:
        raise BundleError(f"bundle {manifest.codec}: {error}") from None
    return parts


def _sections(bundle: Bundle, parts: Parts, needed: set[str]) -> Sections:
    """From the bundle, and from its stream's where it lacks them."""
    manifest = _manifest(bundle)
    sections = {name: bundle.section(name) for name in needed}
    if parts.stream:
        stream = load_bundle(bundle_folder(system(parts.stream)))
        known = _manifest(stream).model_id
        if known != manifest.model_id:
            raise BundleError(
                f"generator {manifest.codec} decodes the stream {manifest.model_id[:8]},"
                f" {parts.stream} is {known[:8]}"
            )
        lacking = [name for name, own in sections.items() if not own and name != "guard"]
        sections |= {name: stream.section(name) for name in lacking}
    return {
        name: {key: one.float() if one.is_floating_point() else one for key, one in own.items()}
        for name, own in sections.items()
    }


def _terms(
    manifest: Manifest, parts: Parts, precision: Precision | None, device: torch.device | None
) -> Terms:
    row = system(manifest.codec)
    return Terms(
        name=row.name,
        stream=row.stream,
        container_id=row.container_id,
        model_id=bytes.fromhex(manifest.model_id)[:MODEL_ID_BYTES],
        ladder=parts.ladder,
        opened=_opened(row, parts),
        text_encoder=manifest.text_encoder,
        device=device or default_device(),
        dtype=(precision or default_precision()).dtype,
    )


def _opened(row: System, parts: Parts) -> dict[int, Ladder]:
    """What a system's decoder takes: its own streams, and those of the system that it stands on.

    Raises:
        BundleError: both are one stream, and its levels would mean two things.
    """
    own = {row.container_id: parts.ladder}
    if not parts.stream:
        return own
    stream = system(parts.stream)
    ladder = empty_parts(stream, frozen_size(parts.stream)).ladder
    if own.get(stream.container_id, ladder) != ladder:
        raise BundleError(
            f"system {row.name} writes the stream {row.stream} with {len(parts.ladder.plain)} levels;"
            f" that of {parts.stream} has {len(ladder.plain)}"
        )
    return own | {stream.container_id: ladder}


def encoder_of(
    bundle: Bundle, precision: Precision | None = None, device: torch.device | None = None
) -> LatentEncoder:
    """The encoding half of a loaded bundle; told the caption where the bundle says so.

    Raises:
        BundleError: its numbers do not fit.
    """
    manifest = _manifest(bundle)
    parts = load_parts(bundle, ENCODER)
    kind = ToldLatentEncoder if manifest.text.at_encoder else LatentEncoder
    return kind(_terms(manifest, parts, precision, device), parts)


def decoder_of(
    bundle: Bundle,
    precision: Precision | None = None,
    device: torch.device | None = None,
    *,
    guard: bool = True,
) -> LatentDecoder:
    """The decoding half of a loaded bundle.

    Raises:
        BundleError: its numbers do not fit.
    """
    manifest = _manifest(bundle)
    parts = load_parts(bundle, DECODER)
    terms = _terms(manifest, parts, precision, device)
    if not manifest.text.at_decoder:  # whose text encoder is its sender's alone
        terms = replace(terms, text_encoder="")
    return LatentDecoder(terms, parts, guard=guard)


def check_bundle(folder: Path) -> Bundle:
    """Read a bundle, and see that both halves of its system can be built of it.

    Raises:
        BundleError: as :func:`load_bundle`, or its numbers do not fit.
    """
    loaded = load_bundle(folder)
    manifest = _manifest(loaded)
    own = own_halves(system(manifest.codec))
    if own is None:
        _terms(manifest, load_parts(loaded, ENCODER, DECODER), None, None)
    else:
        for half in (own.encoder, own.decoder):
            half(loaded, None, None)
    return loaded


def _bundle(name: str, folder: Path | None) -> Bundle:
    return load_bundle(folder or bundle_folder(system(name)))


def load_encoder(name: str, bundle: Path | None = None) -> AnyEncoder:
    """The encoding half of the codec called ``name``, or of a bundle's folder, whatever its name.

    Raises:
        UnknownCodecError: no such name. BundleError: weights are missing or damaged.
    """
    if bundle is None and name in baseline_names():
        return baseline(name)
    loaded = _bundle(name, bundle)
    own = own_halves(system(loaded.manifest.codec))
    return encoder_of(loaded) if own is None else own.encoder(loaded, None, None)


def load_decoder(name: str, bundle: Path | None = None, *, guard: bool = True) -> Decoder:
    """The decoding half; arguments and errors as :func:`load_encoder`'s.

    Args:
        guard: False believes every caption, also where the bundle brings a guard.
    """
    if bundle is None and name in baseline_names():
        return baseline(name)
    loaded = _bundle(name, bundle)
    own = own_halves(system(loaded.manifest.codec))
    return decoder_of(loaded, guard=guard) if own is None else own.decoder(loaded, None, None)


def load_codec(name: str, bundle: Path | None = None, *, guard: bool = True) -> Codec:
    """Both halves, each built when it is first used; arguments as :func:`load_decoder`'s.

    Raises:
        UnknownCodecError: no such name. BundleError: the bundle cannot be read.
    """
    if bundle is None and name in baseline_names():
        one = baseline(name)
        return Codec(name, one.text, lambda: one, lambda: one)
    manifest = read_manifest(bundle or bundle_folder(system(name)))
    if not isinstance(manifest, Manifest):
        raise BundleError(f"bundle {bundle} holds a matcher, no codec")
    return Codec(
        manifest.codec,
        manifest.text,
        partial(load_encoder, name, bundle),
        partial(load_decoder, name, bundle, guard=guard),
    )


@cache
def get_codec(name: str) -> Codec:
    """The codec called ``name``, built once a process.

    Raises:
        UnknownCodecError: no such name. BundleError: its weights are missing or damaged.
    """
    if name not in codec_names():
        raise UnknownCodecError(f"no codec {name!r}; known: {', '.join(codec_names())}")
    return load_codec(name)
