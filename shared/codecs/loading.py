"""A codec as a command line or a setting names it."""

from __future__ import annotations

from pathlib import Path

from shared.bundle import load_bundle
from shared.codecs.base import HyperpriorCodec
from shared.codecs.interface import Codec
from shared.codecs.registry import get_codec

__all__ = ["load_codec"]


def load_codec(name: str, bundle: Path | None = None) -> Codec:
    """The codec called ``name``, or instead the one of a model bundle's folder, whatever its name.

    Raises:
        UnknownCodecError: no such name. BundleError: weights are missing or damaged.
    """
    return get_codec(name) if bundle is None else HyperpriorCodec(load_bundle(bundle))
