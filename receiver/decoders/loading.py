"""Which codec decodes which stream. Imported where torch is: in decoders, never in a gateway."""

from __future__ import annotations

from pathlib import Path

from shared.bitstream.container import CODEC_IDS, VERSION
from shared.codecs.interface import Codec
from shared.codecs.loading import load_codec
from shared.codecs.registry import codec_names, get_codec
from shared.codecs.ssa import STREAM, SsaCodec
from shared.codecs.stream import StreamCodec
from shared.errors import UnknownCodecError
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["caption_note", "codec_id", "levels_of", "load_codecs"]


def load_codecs(bundle: Path | None, generator: str) -> dict[str, StreamCodec]:
    """Codecs by the name that containers give their stream, with their text encoders.

    Args:
        bundle: folder of the only model; None for every stream that containers can name.
        generator: what decodes streams that several can: a codec's name, or a folder of a bundle.

    Raises:
        UnknownCodecError: no such codec, or it decodes no stream. BundleError, TextWeightsError: weights
            are missing or damaged.
    """
    if bundle is not None:
        codecs = [_of_bundle(bundle)]
    else:
        rest = [name for name in CODEC_IDS if name != STREAM]
        codecs = [_streaming(generator), *map(_streaming, rest)]
    for codec in codecs:
        _text_encoder_id(codec)
    return {codec.container_codec: codec for codec in codecs}


def codec_id(codec: StreamCodec) -> CodecId:
    """What a receiver says that it decodes."""
    return CodecId(
        name=codec.container_codec,
        bitstream_version=VERSION,
        model_id=codec.model_id,
        text_encoder_id=_text_encoder_id(codec),
    )


def levels_of(codec: StreamCodec) -> tuple[object, ...]:
    """What the quality in a header means, by its number."""
    return codec.levels if isinstance(codec, SsaCodec) else codec.qualities


def caption_note(codec: Codec, caption: str | None, language: str = "") -> str:
    """What a codec's text encoder could not make of a caption; empty where all is well or none is read.

    Args:
        language: BCP 47 tag that came with the caption; empty where unknown.
    """
    if caption and isinstance(codec, SsaCodec) and codec.text_encoder_name:
        return codec.text_encoder.encode([caption], [language]).notes[0].in_words
    return ""


def _streaming(name: str) -> StreamCodec:
    if name not in codec_names() and Path(name).is_dir():
        return _of_bundle(Path(name))
    codec = get_codec(name)
    if not isinstance(codec, StreamCodec):
        raise UnknownCodecError(f"{name} decodes files of its own, no stream of Sidewire's")
    return codec


def _of_bundle(folder: Path) -> StreamCodec:
    codec = load_codec("", folder)
    assert isinstance(codec, StreamCodec)
    return codec


def _text_encoder_id(codec: StreamCodec) -> str:
    """Empty where no words are read. Loads the encoder, so that the first caption need not wait."""
    if isinstance(codec, SsaCodec) and codec.text_encoder_name:
        return codec.text_encoder.id
    return ""
