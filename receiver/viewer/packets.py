"""What was sent of a post: each message on either channel, as the page lists them. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from receiver.work import Caption, Frame, Key
from shared.bitstream.container import Container
from shared.systems.catalogue import stream_name
from shared.wire.streams import is_of_previews

__all__ = ["Packet", "caption_packet", "frame_name", "frame_packet", "stream_file"]

#: Bytes of a stream that are shown as they are.
SHOWN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Packet:
    """One message.

    Attributes:
        bytes: of the container, or of the caption in UTF-8.
        stream: id of the stream that it came on, under ``number``.
        revision: of a caption; 0 for a picture.
        language: BCP 47 tag of a caption; empty where unknown.
        file: the stream as a file of the gallery; empty for a caption.
        codec, level, width, height, form, model: what a container's header says; ``model`` as far as the
            header tells it, in hexadecimal digits.
        header_bytes: of the container, before its payload.
        head: its first bytes in hexadecimal digits.
    """

    what: Literal["preview", "picture", "caption"]
    channel: Literal["pictures", "captions"]
    stream: str
    number: int
    bytes: int
    revision: int = 0
    language: str = ""
    file: str = ""
    codec: str = ""
    level: int = 0
    width: int = 0
    height: int = 0
    form: str = ""
    model: str = ""
    header_bytes: int = 0
    head: str = ""


def frame_name(key: Key) -> str:
    """Names the files of a frame, within a folder of its stream's."""
    return f"{key.epoch}-{key.seq}"


def stream_file(key: Key) -> str:
    """Path of a frame's container in the gallery."""
    ending = "preview.swi" if is_of_previews(key.stream_id) else "swi"
    return f"streams/{frame_name(key)}.{ending}"


def frame_packet(frame: Frame) -> Packet:
    """What was sent of a picture, or of its preview."""
    container = Container.from_bytes(frame.container)
    header, key = container.header, frame.key
    return Packet(
        what="preview" if is_of_previews(key.stream_id) else "picture",
        channel="pictures",
        stream=key.stream_id,
        number=key.seq,
        bytes=len(frame.container),
        file=stream_file(key),
        codec=stream_name(header.codec_id),
        level=header.quality,
        width=header.width,
        height=header.height,
        form=container.form.value,
        model=header.model_id.hex(),
        header_bytes=len(frame.container) - len(container.stored),
        head=frame.container[:SHOWN_BYTES].hex(" "),
    )


def caption_packet(caption: Caption) -> Packet:
    """What was sent of a caption with words."""
    return Packet(
        what="caption",
        channel="captions",
        stream=caption.key.stream_id,
        number=caption.key.seq,
        bytes=len((caption.text or "").encode()),
        revision=caption.revision,
        language=caption.language,
    )
