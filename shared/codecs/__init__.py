"""Codecs by name or by bundle, whole or in halves."""

from shared.codecs.interface import (
    AnyEncoder,
    Codec,
    Decoded,
    Decoder,
    Encoded,
    Encoder,
    StreamDecoder,
    StreamEncoder,
    TextPlacement,
    ToldEncoder,
    encode,
)
from shared.codecs.loading import codec_names, get_codec, load_codec, load_decoder, load_encoder

__all__ = [
    "AnyEncoder",
    "Codec",
    "Decoded",
    "Decoder",
    "Encoded",
    "Encoder",
    "StreamDecoder",
    "StreamEncoder",
    "TextPlacement",
    "ToldEncoder",
    "codec_names",
    "encode",
    "get_codec",
    "load_codec",
    "load_decoder",
    "load_encoder",
]
