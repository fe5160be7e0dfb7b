"""Bundles of matchers: ``weights/judge``, which measures, and those that stand in losses."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from shared.bundle import MatcherManifest, read_bundle, save_bundle
from shared.errors import BundleError
from shared.networks.matcher import Matcher, MatcherSize
from shared.networks.patches import PatchMatcher, PatchSize

__all__ = ["AnyMatcher", "fresh_matcher", "load_any_matcher", "load_matcher", "save_matcher"]

#: Places pictures in sentence space; only a :class:`Matcher` has feature maps, too.
AnyMatcher = Matcher | PatchMatcher

#: Batch normalisation counts its batches, which nobody reads here.
COUNTER = "num_batches_tracked"


def fresh_matcher(size: MatcherSize | PatchSize) -> AnyMatcher:
    """One of that size before it learns."""
    return PatchMatcher(size) if isinstance(size, PatchSize) else Matcher(size)


def save_matcher(
    folder: Path, manifest: MatcherManifest, tensors: dict[str, Tensor]
) -> MatcherManifest:
    """Write a bundle, weights in int8; returns the manifest with the hash of what was written."""
    kept = {key: tensor for key, tensor in tensors.items() if not key.endswith(COUNTER)}
    return save_bundle(folder, manifest, kept)


def load_matcher(folder: Path) -> tuple[Matcher, MatcherManifest]:
    """See :func:`load_any_matcher`.

    Raises:
        BundleError: as there, or it has no feature maps.
    """
    model, manifest = load_any_matcher(folder)
    if not isinstance(model, Matcher):
        raise BundleError(f"bundle {folder} holds a matcher without feature maps")
    return model, manifest


def load_any_matcher(folder: Path) -> tuple[AnyMatcher, MatcherManifest]:
    """A matcher for use, in eval mode, and what its bundle says; its weights take no gradient, pictures do.

    Raises:
        BundleError: missing, damaged, or of another format or kind.
    """
    bundle = read_bundle(folder)
    if not isinstance(bundle.manifest, MatcherManifest):
        raise BundleError(f"bundle {folder} holds no matcher")
    model = fresh_matcher(bundle.manifest.size)
    counters = {key: t for key, t in model.state_dict().items() if key.endswith(COUNTER)}
    try:
        model.load_state_dict(bundle.tensors | counters)
    except RuntimeError as error:
        raise BundleError(f"bundle {folder}: {error}") from None
    model.requires_grad_(False).eval()
    return model.to(memory_format=torch.channels_last), bundle.manifest
