"""Which decoder decodes which stream. Imported where torch is: in decoders, never in a gateway."""

from __future__ import annotations

from pathlib import Path

from shared.bitstream.container import BITSTREAM_VERSION
from shared.codecs import StreamDecoder, load_decoder
from shared.errors import UnknownCodecError
from shared.systems.catalogue import decoders_of, streams, systems
from shared.wire.v1.types_pb2 import CodecId

__all__ = ["codec_id", "load_decoders"]


def load_decoders(bundle: Path | None, chosen: str) -> dict[str, StreamDecoder]:
    """Decoders by the name that containers give their stream, with their text encoders.

    Args:
        bundle: folder of the only model, which then decodes all that it can; None for every stream that
            containers can name.
        chosen: what decodes a stream that several are for: a codec's name, or a folder of a bundle.

    Raises:
        UnknownCodecError: no such codec, or it decodes no stream. BundleError, TextWeightsError: weights
            are missing or damaged.
    """
    if bundle is not None:
        only = _streaming("", bundle)
        decoders = dict.fromkeys(only.streams, only)
    else:
        first = _streaming(chosen, None)
        rest = [stream for stream in streams() if stream != first.stream]
        decoders = {first.stream: first}
        decoders |= {stream: _streaming(decoders_of(stream)[0], None) for stream in rest}
    for decoder in decoders.values():
        _ = decoder.text_encoder_id  # loaded now, so that the first caption need not wait
    return decoders


def codec_id(stream: str, decoder: StreamDecoder) -> CodecId:
    """What a receiver says that it decodes."""
    return CodecId(
        name=stream,
        bitstream_version=BITSTREAM_VERSION,
        model_id=decoder.model_id,
        text_encoder_id=decoder.text_encoder_id,
    )


def _streaming(name: str, bundle: Path | None) -> StreamDecoder:
    if bundle is None and name not in systems() and Path(name).is_dir():
        bundle = Path(name)
    decoder = load_decoder(name, bundle)
    if not isinstance(decoder, StreamDecoder):
        raise UnknownCodecError(f"{name} decodes files of its own, no stream of Sidewire's")
    return decoder
