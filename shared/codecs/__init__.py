"""Codecs: importing this package registers all of them."""

from shared.codecs import base, baselines, ssa
from shared.codecs.interface import Codec, Decoded, Encoded, TextPlacement
from shared.codecs.loading import load_codec
from shared.codecs.registry import codec_names, get_codec

__all__ = [
    "Codec",
    "Decoded",
    "Encoded",
    "TextPlacement",
    "base",
    "baselines",
    "codec_names",
    "get_codec",
    "load_codec",
    "ssa",
]
