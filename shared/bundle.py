"""Model bundles: ``bundle.json`` says what it is, ``tensors.safetensors`` holds the numbers.

Tensors are named ``section.parameter``. The sections ``h_mu``, ``scale`` and ``tables`` define what
a stream means: the *model id* is a hash over them, stands in every container, and another id is
refused. The analysis (``g_a``, ``h_a``) and the generator (``g_s``) may change under one id.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from shared.compact import pack
from shared.errors import BundleError
from shared.networks.transforms import HyperpriorSize
from shared.pictures import write_atomically

__all__ = ["Bundle", "Manifest", "Provenance", "QualityRow", "half", "load_bundle", "save_bundle"]

FORMAT = 1
MANIFEST_NAME = "bundle.json"
TENSORS_NAME = "tensors.safetensors"
#: Sections that decide what symbols mean.
STREAM_SECTIONS = ("h_mu.", "scale.", "tables.")


class QualityRow(BaseModel):
    """Kodak means of one quality level, from real container bytes."""

    model_config = ConfigDict(frozen=True)

    quality: int
    bpp: float
    psnr: float
    ms_ssim: float


class Provenance(BaseModel):
    """Where the numbers came from."""

    model_config = ConfigDict(frozen=True)

    config: str
    config_digest: str
    data_digest: str
    seed: int
    steps: int
    quantised_steps: int
    hours: float
    kodak: tuple[QualityRow, ...] = ()
    #: Extra rate of integer scale indices against float ones, in percent, a level each.
    integer_cost_percent: tuple[float, ...] = ()
    #: Extra rate of real payloads against a Gaussian's ideal code length with float scales.
    payload_cost_percent: tuple[float, ...] = ()


class BundleFiles(BaseModel):
    """What every ``bundle.json`` says, whatever kind of model it describes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    codec: str
    tensors_sha256: str


class Manifest(BundleFiles):
    """The ``bundle.json`` of a stream: encoder, entropy model and a generator without text."""

    size: HyperpriorSize
    model_id: str
    provenance: Provenance


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle."""

    manifest: Manifest
    tensors: dict[str, Tensor]

    def section(self, name: str) -> dict[str, Tensor]:
        """Tensors of one section, without the prefix."""
        return section_of(self.tensors, name)


def section_of(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Tensors of one section, without the prefix."""
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }


def half(tensor: Tensor) -> Tensor:
    """float16 for the weights of float networks; vectors (biases, gains) keep their precision."""
    big = tensor.is_floating_point() and tensor.ndim > 2
    return tensor.half() if big else tensor


def stream_id(codec: str, size: HyperpriorSize, tensors: dict[str, Tensor]) -> str:
    """SHA-256 over everything that decides which symbols a payload holds and what they mean."""
    digest = hashlib.sha256(f"{codec}\n{size.model_dump_json()}\n".encode())
    for name in sorted(tensors):
        if name.startswith(STREAM_SECTIONS):
            tensor = tensors[name]
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


ManifestT = TypeVar("ManifestT", bound=BundleFiles)


def write_files(folder: Path, manifest: BundleFiles, data: bytes) -> None:
    """Write both files of a bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / TENSORS_NAME, data)
    text = json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n"
    write_atomically(folder / MANIFEST_NAME, text.encode())


def save_packed(folder: Path, manifest: ManifestT, tensors: dict[str, Tensor]) -> ManifestT:
    """Write a bundle, weights in int8; returns the manifest with the hash of what was written."""
    data = save_tensors(pack(tensors))
    sealed = manifest.model_copy(update={"tensors_sha256": hashlib.sha256(data).hexdigest()})
    write_files(folder, sealed, data)
    return sealed


def read_files(folder: Path, kind: type[ManifestT]) -> tuple[ManifestT, dict[str, Tensor]]:
    """Read both files of a bundle and hold them against each other.

    Raises:
        BundleError: missing, damaged, of another format or kind, or the hash does not match.
    """
    try:
        manifest = kind.model_validate_json((folder / MANIFEST_NAME).read_bytes())
        data = (folder / TENSORS_NAME).read_bytes()
        tensors = load_tensors(data)
    except OSError as error:
        raise BundleError(f"cannot read the model bundle {folder}: {error.strerror}") from None
    except (ValidationError, SafetensorError) as error:
        raise BundleError(f"the model bundle {folder} is damaged: {error}") from None
    if manifest.format != FORMAT:
        raise BundleError(
            f"bundle {folder} has format {manifest.format}, this build reads {FORMAT}"
        )
    if hashlib.sha256(data).hexdigest() != manifest.tensors_sha256:
        raise BundleError(f"{folder / TENSORS_NAME} does not match its hash in {MANIFEST_NAME}")
    return manifest, tensors


def is_generator(folder: Path) -> bool:
    """Whether a bundle holds a generator for another bundle's stream, rather than a stream.

    Raises:
        BundleError: it cannot be read.
    """
    try:
        described = json.loads((folder / MANIFEST_NAME).read_bytes())
    except OSError as error:
        raise BundleError(f"cannot read the model bundle {folder}: {error.strerror}") from None
    except ValueError as error:
        raise BundleError(f"the model bundle {folder} is damaged: {error}") from None
    return isinstance(described, dict) and "stream" in described


def save_bundle(
    folder: Path,
    codec: str,
    size: HyperpriorSize,
    tensors: dict[str, Tensor],
    provenance: Provenance,
) -> Manifest:
    """Write a bundle; returns its manifest with the model id."""
    data = save_tensors(tensors)
    manifest = Manifest(
        codec=codec,
        size=size,
        model_id=stream_id(codec, size, tensors),
        tensors_sha256=hashlib.sha256(data).hexdigest(),
        provenance=provenance,
    )
    write_files(folder, manifest, data)
    return manifest


def load_bundle(folder: Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: missing, damaged, of another format, or its ids do not match its numbers.
    """
    manifest, tensors = read_files(folder, Manifest)
    if stream_id(manifest.codec, manifest.size, tensors) != manifest.model_id:
        raise BundleError(f"bundle {folder}: the model id does not match the tensors")
    return Bundle(manifest, tensors)
