"""Bundles of matchers: ``weights/judge``, which measures, and ``weights/features``, which trains."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from shared.bundle import BundleFiles, read_files, save_packed
from shared.compact import unpack
from shared.errors import BundleError
from shared.networks.matcher import Matcher, MatcherSize

__all__ = [
    "MatcherManifest",
    "MatcherProvenance",
    "Retrieval",
    "load_matcher",
    "matcher_manifest",
    "save_matcher",
]

#: Batch normalisation counts its batches, which nobody reads here.
COUNTER = "num_batches_tracked"


class Retrieval(BaseModel):
    """What a matcher does on pictures that it was not trained on.

    Attributes:
        r1, r5, r10: share of captions whose picture is among the best 1, 5, 10 of all ``pictures``.
        r10_grey: the same where every picture has lost its colour.
        cosine, cosine_grey: mean cosine of a picture, or of the grey one, to its own captions.
        cosine_mismatched: of a picture to another one's captions.
    """

    model_config = ConfigDict(frozen=True)

    pictures: int
    r1: float
    r5: float
    r10: float
    r10_grey: float
    cosine: float
    cosine_grey: float
    cosine_mismatched: float


class MatcherProvenance(BaseModel):
    """Where the numbers came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str
    config_digest: str
    data_digest: str
    seed: int
    steps: int
    hours: float
    validation: Retrieval


class MatcherManifest(BundleFiles):
    """The ``bundle.json`` of a matcher."""

    size: MatcherSize
    text_encoder: str
    provenance: MatcherProvenance


def save_matcher(
    folder: Path, manifest: MatcherManifest, tensors: dict[str, Tensor]
) -> MatcherManifest:
    """Write a bundle, weights in int8; returns the manifest with the hash of what was written."""
    kept = {key: tensor for key, tensor in tensors.items() if not key.endswith(COUNTER)}
    return save_packed(folder, manifest, kept)


def matcher_manifest(folder: Path) -> MatcherManifest:
    """What a matcher's bundle says of itself.

    Raises:
        BundleError: missing, damaged, or of another format or kind.
    """
    return read_files(folder, MatcherManifest)[0]


def load_matcher(folder: Path) -> Matcher:
    """A matcher for use, in eval mode; its weights take no gradient, pictures do.

    Raises:
        BundleError: missing, damaged, or of another format or kind.
    """
    manifest, packed = read_files(folder, MatcherManifest)
    model = Matcher(manifest.size)
    counters = {key: t for key, t in model.state_dict().items() if key.endswith(COUNTER)}
    try:
        model.load_state_dict(unpack(packed) | counters)
    except RuntimeError as error:
        raise BundleError(f"bundle {folder}: {error}") from None
    model.requires_grad_(False).eval()
    return model.to(memory_format=torch.channels_last)
