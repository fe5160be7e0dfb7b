"""A codec as a command line or a setting names it."""

from __future__ import annotations

from pathlib import Path

from shared.bundle import is_generator, load_bundle
from shared.codecs.base import HyperpriorCodec
from shared.codecs.interface import Codec
from shared.codecs.joint import JointCodec
from shared.codecs.registry import get_codec
from shared.codecs.ssa import SsaCodec, stream_of
from shared.generator_bundle import load_generator_bundle

__all__ = ["load_codec"]


def load_codec(name: str, bundle: Path | None = None) -> Codec:
    """The codec called ``name``, or instead the one of a model bundle's folder, whatever its name.

    Raises:
        UnknownCodecError: no such name. BundleError: weights are missing or damaged.
    """
    if bundle is None:
        return get_codec(name)
    if not is_generator(bundle):
        return HyperpriorCodec(load_bundle(bundle))
    generator = load_generator_bundle(bundle)
    codec = SsaCodec if generator.manifest.encoder == "stream" else JointCodec
    return codec(generator, stream_of(generator.manifest.stream))
