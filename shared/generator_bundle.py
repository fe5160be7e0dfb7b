"""Bundles of generators: a decoder's half of a model, for a stream that stands as it is.

``weights/ssa`` and ``weights/none`` are such: they hold no encoder and no tables, but name the stream
that they decode by its model id. A receiver takes a newer one without any sender noticing.
Sections: ``generator`` and, where wrong captions are watched for, ``guard``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from shared.bundle import BundleFiles, read_files, save_packed, section_of
from shared.compact import unpack
from shared.levels import StreamLevel
from shared.networks.generator import GeneratorSize
from shared.networks.matcher import MatcherSize

__all__ = [
    "GeneratorBundle",
    "GeneratorManifest",
    "GeneratorProvenance",
    "load_generator_bundle",
    "save_generator_bundle",
]


class GeneratorProvenance(BaseModel):
    """Where the numbers came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str
    config_digest: str
    data_digest: str
    seed: int
    distortion_steps: int
    adversarial_steps: int
    hours: float


class GeneratorManifest(BundleFiles):
    """The ``bundle.json`` of a generator.

    Attributes:
        stream: shipped bundle whose symbols it decodes; ``stream_model_id`` is that one's id.
        encoder: the analysis transform that goes with it: the stream's; its own, learned together with
            it (section ``g_a``); or its own that is told the caption.
        text_encoder: as :func:`shared.text.registry.get_text_encoder` takes it; empty if no words
            are read.
    """

    stream: str
    stream_model_id: str
    encoder: Literal["stream", "own", "told"] = "stream"
    levels: tuple[StreamLevel, ...]
    size: GeneratorSize
    guard: MatcherSize | None
    text_encoder: str
    provenance: GeneratorProvenance


@dataclass(frozen=True)
class GeneratorBundle:
    """A loaded bundle; weights are float32 again."""

    manifest: GeneratorManifest
    tensors: dict[str, Tensor]

    def section(self, name: str) -> dict[str, Tensor]:
        """Tensors of one section, without the prefix."""
        return section_of(self.tensors, name)


def save_generator_bundle(
    folder: Path, manifest: GeneratorManifest, tensors: dict[str, Tensor]
) -> GeneratorManifest:
    """Write a bundle, weights in int8; returns the manifest with the hash of what was written."""
    return save_packed(folder, manifest, tensors)


def load_generator_bundle(folder: Path) -> GeneratorBundle:
    """Read and check a bundle.

    Raises:
        BundleError: missing, damaged, or of another format or kind.
    """
    manifest, tensors = read_files(folder, GeneratorManifest)
    return GeneratorBundle(manifest, unpack(tensors))
