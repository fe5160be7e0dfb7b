"""``misc``: a picture as words, maps and a reference; the decoder paints it again.

Li et al., "MISC: Ultra-low Bitrate Image Semantic Compression Driven by Large Multimodal Model"::

    x --describer--> T_all, T_n[j], T_d[j] --grounder(x, T_n)--> M[j] --.
    x --down-sampled, base's encoder--> B ------------------------------+--> one rANS stack, container

    container --base's decoder--> I_ref --base's g_a--> S[-1]
    S[j] = a M[j] flow_n(S[-1], T_d[j]) + (1 - a M[j]) S[j-1]         for each item, n steps
    S[final] = flow_n'(S[J-1], T_all)                                 n' = 4 n steps
    S[final] --base's g_s--> x_hat

Our reading: where the paper has GPT-4V, CLIP-Surgery and DiffBIR on Stable Diffusion, small models stand that
are trained here, and others can be named (:mod:`shared.telling`, :mod:`shared.painting`). The flow is in the
latents of ``base`` at a middle level, as theirs is in those of an autoencoder.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.bitstream.header import MODEL_ID_BYTES
from shared.bundle import (
    Bundle,
    Manifest,
    identity,
    read_bundle,
    read_manifest,
)
from shared.codecs.halves import Ear, LatentDecoder
from shared.codecs.loading import bundle_folder, decoder_of, encoder_of, frozen_size
from shared.codecs.own import OwnHalves
from shared.codecs.semantic import (
    Aim,
    SemanticDecoder,
    SemanticEncoder,
    SemanticTerms,
)
from shared.errors import BundleError
from shared.latents.hyperprior import HyperpriorSize
from shared.networks.flow import Flow, FlowSize
from shared.networks.precision import Precision
from shared.painting.painter import FlowPainter, Painter, Strokes
from shared.systems.catalogue import system
from shared.telling.coder import TellingCoder
from shared.telling.teller import Teller

if TYPE_CHECKING:
    from shared.telling.describer import Describer
    from shared.telling.grounder import Grounder

__all__ = ["AIMS", "HALVES", "STREAM", "WORDS", "Size", "Tools", "model_id_of"]

#: Whose streams are references, and whose transforms are the painter's.
STREAM = "base"

#: MISC-1 to MISC-3, of Table III.
AIMS = {1: Aim(0.0225, items=True), 2: Aim(0.0375, items=True), 3: Aim(0.047, items=False)}
#: The bundle's section of the tables that words are coded with.
WORDS = "phrases"


class Size(BaseModel):
    """Widths of what paints, and how long it does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flow: FlowSize = FlowSize()
    canvas: int = Field(14, ge=0, description="base's level whose latents are painted in")
    item_steps: int = Field(3, ge=1, description="n, of the flow for each item")
    steps: int = Field(12, ge=1, description="of the flow for the whole picture")
    opacity: float = Field(0.5, ge=0, le=1, description="a, how much of an item's paint is kept")


class Tools(BaseSettings):
    """Models of a user's own, folders on this machine, in place of those that are trained here."""

    model_config = SettingsConfigDict(env_prefix="SIDEWIRE_MISC_", frozen=True)

    captioner: Path | None = Field(None, description="an image-to-text model of transformers")
    grounder: str = Field("", description="a model of open_clip: MODEL:WEIGHTS, or a folder")
    painter: Path | None = Field(None, description="an image-to-image pipeline of diffusers")


def _stream() -> Bundle:
    return read_bundle(bundle_folder(system(STREAM)))


class _NoSize(BaseModel):
    """The painter's size changes no symbol's meaning."""


def model_id_of(bundle: Bundle) -> str:
    """Of the streams: what words are coded with, and the stream of the references."""
    manifest = read_manifest(bundle_folder(system(STREAM)))
    assert isinstance(manifest, Manifest)
    return identity(f"misc {manifest.model_id}", _NoSize(), bundle.tensors, {WORDS})


def _terms(bundle: Bundle) -> SemanticTerms:
    manifest = bundle.manifest
    assert isinstance(manifest, Manifest)
    row = system(manifest.codec)
    try:
        coder = TellingCoder.from_tensors(bundle.section(WORDS))
    except (KeyError, ValueError) as error:
        raise BundleError(f"bundle {manifest.codec}: {WORDS}: {error}") from None
    stream = frozen_size(STREAM)
    assert isinstance(stream, HyperpriorSize)
    return SemanticTerms(
        name=row.name,
        stream=row.stream,
        container_id=row.container_id,
        model_id=bytes.fromhex(manifest.model_id)[:MODEL_ID_BYTES],
        aims=AIMS,
        coder=coder,
        references=stream.levels,
    )


def encoder(
    bundle: Bundle, precision: Precision | None, device: torch.device | None
) -> SemanticEncoder:
    """The figure's first line; who finds words and places is loaded with the first picture."""
    reference = encoder_of(_stream(), precision, device)
    teller = Teller(_describer, partial(_grounder, str(reference.terms.device)))
    return SemanticEncoder(_terms(bundle), reference, teller)


def decoder(
    bundle: Bundle, precision: Precision | None, device: torch.device | None
) -> SemanticDecoder:
    """The rest of it; networks and text encoder are loaded with the first picture.

    Raises:
        PainterError, MissingExtraError: the painter that was named is not there, or nothing to load it.
    """
    if (named := Tools().painter) is not None:
        from shared.painting.diffusion import check_pipeline  # noqa: PLC0415

        check_pipeline(named)

    def reference() -> LatentDecoder:
        return decoder_of(_stream(), precision, device)

    return SemanticDecoder(_terms(bundle), reference, partial(_painter, bundle))


def _painter(bundle: Bundle, synthesis: LatentDecoder) -> Painter:
    tools = Tools()
    if tools.painter is not None:
        from shared.painting.diffusion import DiffusionPainter  # noqa: PLC0415

        return DiffusionPainter(tools.painter, synthesis.terms.device)
    manifest = bundle.manifest
    assert isinstance(manifest, Manifest)
    size = Size.model_validate(manifest.size)
    with torch.device("meta"):
        flow = Flow(size.flow)
    try:
        flow.load_state_dict(bundle.section("flow"), assign=True)
    except RuntimeError as error:
        raise BundleError(f"bundle {manifest.codec}: flow: {error}") from None
    own = synthesis.terms
    analysis = encoder_of(_stream(), Precision(str(own.dtype).removeprefix("torch.")), own.device)
    ear = Ear(manifest.text_encoder, own.device, (size.flow.text_width, size.flow.token_width))
    strokes = Strokes(size.canvas, size.item_steps, size.steps, size.opacity)
    return FlowPainter(analysis, synthesis, flow, ear, strokes)


@cache
def _describer() -> Describer:
    from shared.telling.describer import CaptionedDescriber, SmallDescriber  # noqa: PLC0415

    tools = Tools()
    if tools.captioner is None:
        return SmallDescriber()
    from shared.text.image_to_text import load_captioner  # noqa: PLC0415

    return CaptionedDescriber(load_captioner(tools.captioner))


@cache
def _grounder(device: str) -> Grounder:
    tools = Tools()
    if tools.grounder:
        from shared.telling.clip_grounder import OpenClipGrounder  # noqa: PLC0415

        return OpenClipGrounder(tools.grounder, device)
    from shared.telling.grounder import MatcherGrounder  # noqa: PLC0415

    return MatcherGrounder()


HALVES = OwnHalves(tuple(AIMS), model_id_of, encoder, decoder)
