"""Bundles of matchers: ``weights/judge``, which measures, and ``weights/features``, which trains."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from shared.bundle import MatcherManifest, read_bundle, save_bundle
from shared.errors import BundleError
from shared.networks.matcher import Matcher

__all__ = ["load_matcher", "save_matcher"]

#: Batch normalisation counts its batches, which nobody reads here.
COUNTER = "num_batches_tracked"


def save_matcher(
    folder: Path, manifest: MatcherManifest, tensors: dict[str, Tensor]
) -> MatcherManifest:
    """Write a bundle, weights in int8; returns the manifest with the hash of what was written."""
    kept = {key: tensor for key, tensor in tensors.items() if not key.endswith(COUNTER)}
    return save_bundle(folder, manifest, kept)


def load_matcher(folder: Path) -> tuple[Matcher, MatcherManifest]:
    """A matcher for use, in eval mode, and what its bundle says; its weights take no gradient, pictures do.

    Raises:
        BundleError: missing, damaged, or of another format or kind.
    """
    bundle = read_bundle(folder)
    if not isinstance(bundle.manifest, MatcherManifest):
        raise BundleError(f"bundle {folder} holds no matcher")
    model = Matcher(bundle.manifest.size)
    counters = {key: t for key, t in model.state_dict().items() if key.endswith(COUNTER)}
    try:
        model.load_state_dict(bundle.tensors | counters)
    except RuntimeError as error:
        raise BundleError(f"bundle {folder}: {error}") from None
    model.requires_grad_(False).eval()
    return model.to(memory_format=torch.channels_last), bundle.manifest
