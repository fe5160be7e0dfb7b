"""A system's parts before training: random weights, or those of the frozen stream that it stands on."""

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
        start: shipped stream that a stream of its own begins as, latent codec and all.

    Raises:
        UnknownCodecError: no such system. pydantic.ValidationError: the size is none of its.
        BundleError: the stream's weights are missing or damaged.
    """
    module = import_module(system(name).module)
    parts = module.parts(module.Size.model_validate(size))
    assert isinstance(parts, Parts)
    if parts.stream or start:
        bundle = read_bundle(bundle_folder(system(parts.stream or start)))
        stream = load_parts(bundle, ENCODER, DECODER)
        rows = range(parts.levels)
        parts.g_a.take_over(stream.g_a, range(stream.levels))
        parts.g_s.take_over(stream.g_s, rows)
        parts.latent = stream.latent.requires_grad_(False)
    return parts
