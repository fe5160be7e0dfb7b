"""A system's parts before training: random weights, those of a frozen stream, or those that ship already."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from shared.bundle import Manifest, read_bundle
from shared.codecs.loading import bundle_folder, load_parts
from shared.codecs.parts import DECODER, ENCODER, Parts
from shared.systems.catalogue import system

__all__ = ["fresh_parts", "stream_model_id"]


def stream_model_id(parts: Parts) -> str:
    """The model id of the frozen stream that parts stand on; empty for a stream of their own."""
    if not parts.stream:
        return ""
    manifest = read_bundle(bundle_folder(system(parts.stream))).manifest
    assert isinstance(manifest, Manifest)
    return manifest.model_id


def fresh_parts(name: str, size: dict[str, Any], start: str = "") -> Parts:
    """Parts of the system called ``name``; transforms on a frozen stream begin as the stream's own.

    Args:
        start: shipped system that the parts begin as: a stream, latent codec and all, or what an earlier
            run made of the same figure. Empty for the stream that they stand on, if any.

    Raises:
        UnknownCodecError: no such system. pydantic.ValidationError: the size is none of its.
        BundleError: the stream's weights are missing or damaged.
    """
    module = import_module(system(name).module)
    parts = module.parts(module.Size.model_validate(size))
    assert isinstance(parts, Parts)
    if parts.stream or start:
        begun = system(start or parts.stream)
        first = load_parts(read_bundle(bundle_folder(begun)), ENCODER, DECODER)
        if begun.module == system(name).module:
            parts.g_a.load_state_dict(first.g_a.state_dict())
            parts.g_s.load_state_dict(first.g_s.state_dict())
        else:
            parts.g_a.take_over(first.g_a, range(first.levels))
            parts.g_s.take_over(first.g_s, range(parts.levels))
        parts.latent = first.latent.requires_grad_(False)
    return parts
