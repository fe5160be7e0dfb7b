"""Model bundles: ``bundle.json`` says what it is, ``tensors.safetensors`` holds the numbers.

Tensors are named ``section.parameter``. There is one kind for systems, whatever half of one they hold, one
for matchers and one for describers. What decides the meaning of symbols is the stream's *identity*: a hash
over those sections stands as the model id in every container, and another id is refused. A bundle without
such sections names the stream whose symbols it reads; analysis and synthesis may change under one id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from shared.compact import pack, unpack
from shared.errors import BundleError
from shared.networks.describer import DescriberSize
from shared.networks.matcher import MatcherSize
from shared.networks.patches import PatchSize
from shared.pictures import write_atomically
from shared.systems.catalogue import TextPlacement

__all__ = [
    "MANIFEST_NAME",
    "Bundle",
    "Described",
    "DescriberManifest",
    "Manifest",
    "MatcherManifest",
    "Provenance",
    "QualityRow",
    "Retrieval",
    "half",
    "identity",
    "read_bundle",
    "read_manifest",
    "save_bundle",
    "shipped_bundle",
]

MANIFEST_NAME = "bundle.json"
TENSORS_NAME = "tensors.safetensors"


def shipped_bundle(name: str) -> Path:
    """Folder of a bundle that ships, in a distribution of its own.

    Raises:
        BundleError: that is not installed.
    """
    try:
        home = resources.files("weights")
    except ModuleNotFoundError:
        raise BundleError(
            "the weights that ship are not installed: `pip install ./weights` in a checkout of Sidewire"
            " brings them"
        ) from None
    return Path(str(home.joinpath(name)))


class Strict(BaseModel):
    """Settings that are read-only, and refuse what they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class QualityRow(Strict):
    """Kodak means of one quality level, from real container bytes."""

    quality: int
    bpp: float
    psnr: float
    ms_ssim: float


class Retrieval(Strict):
    """What a matcher does on pictures that it was not trained on.

    Attributes:
        r1, r5, r10: share of captions whose picture is among the best 1, 5, 10 of all ``pictures``.
        r10_grey: the same where every picture has lost its colour.
        cosine, cosine_grey: mean cosine of a picture, or of the grey one, to its own captions.
        cosine_mismatched: of a picture to another one's captions.
    """

    pictures: int
    r1: float
    r5: float
    r10: float
    r10_grey: float
    cosine: float
    cosine_grey: float
    cosine_mismatched: float


class Described(Strict):
    """What a describer says of pictures that it was not trained on, held against people's captions of them.

    Cosines are of sentence vectors, each the mean over a picture's captions; overlaps are F1 of words.

    Attributes:
        nats: of people's next word, on average.
        cosine, cosine_people: of what it says, and of one person's caption to the other persons'.
        cosine_constant, cosine_mismatched: of "A photograph.", and of what it says of another picture.
        overlap, overlap_people, overlap_mismatched: of words, likewise.
    """

    pictures: int
    nats: float
    cosine: float
    cosine_people: float
    cosine_constant: float
    cosine_mismatched: float
    overlap: float
    overlap_people: float
    overlap_mismatched: float


class Provenance(Strict):
    """Where the numbers came from, and what was measured of them.

    Attributes:
        config, config_digest: name and hash of the settings.
        data_digest: hash over the training data.
        steps: done in each phase, by its name.
        hours: of wall clock.
        kodak: a row a quality level, for streams.
        integer_cost_percent: extra rate of integer scale indices against float ones, a level each.
        payload_cost_percent: extra rate of real payloads against a Gaussian's ideal code length.
        retrieval: for matchers.
        described: for describers.
    """

    config: str
    config_digest: str
    data_digest: str
    seed: int
    steps: dict[str, int]
    hours: float
    kodak: tuple[QualityRow, ...] = ()
    integer_cost_percent: tuple[float, ...] = ()
    payload_cost_percent: tuple[float, ...] = ()
    retrieval: Retrieval | None = None
    described: Described | None = None


class _Common(Strict):
    format: Literal[2] = 2
    tensors_sha256: str = ""
    #: Id of the text encoder whose vectors it reads; empty where it reads no words.
    text_encoder: str = ""
    provenance: Provenance


class Manifest(_Common):
    """The ``bundle.json`` of a system.

    Attributes:
        codec: the system's name.
        text: who reads the caption.
        size: of its networks, as the system's own ``Size`` reads it.
        model_id: of the streams that it writes or reads.
    """

    kind: Literal["system"] = "system"
    codec: str
    text: TextPlacement
    size: dict[str, Any]
    model_id: str


class MatcherManifest(_Common):
    """The ``bundle.json`` of a matcher."""

    kind: Literal["matcher"] = "matcher"
    codec: str
    size: MatcherSize | PatchSize


class DescriberManifest(_Common):
    """The ``bundle.json`` of a describer.

    Attributes:
        matcher: hash of the tensors of the matcher that it sees by.
    """

    kind: Literal["describer"] = "describer"
    codec: str
    size: DescriberSize
    matcher: str


AnyManifest = Manifest | MatcherManifest | DescriberManifest
_ANY: TypeAdapter[AnyManifest] = TypeAdapter(Annotated[AnyManifest, Field(discriminator="kind")])
ManifestT = TypeVar("ManifestT", Manifest, MatcherManifest, DescriberManifest)


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle; packed weights are float32 again."""

    manifest: AnyManifest
    tensors: dict[str, Tensor]

    def section(self, name: str) -> dict[str, Tensor]:
        """Tensors of one section, without the prefix."""
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): tensor
            for key, tensor in self.tensors.items()
            if key.startswith(prefix)
        }


def half(tensor: Tensor) -> Tensor:
    """float16 for the weights of float networks; vectors (biases, gains) keep their precision."""
    big = tensor.is_floating_point() and tensor.ndim > 2
    return tensor.half() if big else tensor


def identity(
    codec: str, size: BaseModel, tensors: Mapping[str, Tensor], sections: Collection[str]
) -> str:
    """SHA-256 over everything that decides which symbols a payload holds and what they mean.

    Args:
        size: of the system.
        sections: of ``tensors`` that count.
    """
    digest = hashlib.sha256(f"{codec}\n{size.model_dump_json()}\n".encode())
    for name in sorted(tensors):
        if name.partition(".")[0] in sections:
            tensor = tensors[name]
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def save_bundle(
    folder: Path, manifest: ManifestT, tensors: dict[str, Tensor], *, exact: Collection[str] = ()
) -> ManifestT:
    """Write a bundle; returns the manifest with the hash of what was written.

    Args:
        exact: sections that are kept as they are, all that symbols depend on; weights of others become int8.
    """
    kept = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in exact}
    rest = {name: tensor for name, tensor in tensors.items() if name not in kept}
    data = save_tensors(kept | pack(rest))
    sealed = manifest.model_copy(update={"tensors_sha256": hashlib.sha256(data).hexdigest()})
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / TENSORS_NAME, data)
    text = json.dumps(sealed.model_dump(mode="json"), indent=2) + "\n"
    write_atomically(folder / MANIFEST_NAME, text.encode())
    return sealed


def read_manifest(folder: Path) -> AnyManifest:
    """What a bundle says of itself.

    Raises:
        BundleError: missing, damaged or of another format.
    """
    try:
        return _ANY.validate_json((folder / MANIFEST_NAME).read_bytes())
    except OSError as error:
        raise BundleError(f"cannot read the model bundle {folder}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise BundleError(
            f"the model bundle {folder} is damaged or of another format: {field}: {first['msg']}"
        ) from None


def read_bundle(folder: Path) -> Bundle:
    """Read both files of a bundle and hold them against each other.

    Raises:
        BundleError: missing, damaged, of another format, or the hash does not match.
    """
    manifest = read_manifest(folder)
    try:
        data = (folder / TENSORS_NAME).read_bytes()
        tensors = load_tensors(data)
    except OSError as error:
        raise BundleError(f"cannot read the model bundle {folder}: {error.strerror}") from None
    except SafetensorError as error:
        raise BundleError(f"the model bundle {folder} is damaged: {error}") from None
    if hashlib.sha256(data).hexdigest() != manifest.tensors_sha256:
        raise BundleError(f"{folder / TENSORS_NAME} does not match its hash in {MANIFEST_NAME}")
    return Bundle(manifest, unpack(tensors))
