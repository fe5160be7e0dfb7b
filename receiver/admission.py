"""The gate: from a message to a frame or caption that is within every limit, or a typed refusal."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from google.protobuf.duration_pb2 import Duration

from receiver.work import Caption, Frame, Key
from shared.bitstream.container import Container
from shared.bitstream.header import MODEL_ID_BYTES
from shared.errors import LimitError, SidewireError, UnknownCodecError
from shared.systems.catalogue import stream_name
from shared.wire.checksums import caption_crc, frame_crc, skip_crc
from shared.wire.errors import Reason, WireError
from shared.wire.limits import CONTENT_ID_BYTES, Limits
from shared.wire.v1 import caption_channel_pb2, image_channel_pb2

__all__ = ["LARGEST_SEQ", "Admission", "Model", "in_words"]

#: SQLite's integers end here.
LARGEST_SEQ = (1 << 63) - 1
LARGEST_REVISION = (1 << 31) - 1
LONGEST_TTL = 10 * 365 * 86400.0
LONGEST_LANGUAGE = 35  # BCP 47's own example of a longest tag
#: W3C's, of the version that is read.
LONGEST_TRACEPARENT = 55

#: Codec name and model id, the latter whole.
Model = tuple[str, bytes]


@dataclass(frozen=True)
class Admission:
    """Checks of one stream and epoch.

    Attributes:
        models: what the decoders decode; None lets everything pass (a benchmark's no-op decoder).
        caption_ttl: seconds that a caption is held at most while there is no picture for it.
        text_used: False lets no frame wait for words that would not be used.
    """

    stream_id: str
    epoch: int
    limits: Limits
    models: Collection[Model] | None
    caption_ttl: float
    text_used: bool

    def _key(self, seq: int) -> Key:
        if seq > LARGEST_SEQ:
            raise malformed("seq", f"is {seq}, must be at most {LARGEST_SEQ}")
        return Key(self.stream_id, self.epoch, seq)

    # Pictures

    def frame(self, message: image_channel_pb2.ImageFrame, now: float) -> Frame:
        """The frame, its checksum right; nothing else is checked yet (:meth:`check_frame`).

        Raises:
            WireError: CHECKSUM or MALFORMED, where not even the key can be trusted.
        """
        if frame_crc(self.stream_id, self.epoch, message) != message.crc32c:
            raise WireError(
                Reason.CHECKSUM, f"frame {message.seq}: CRC32C differs", seq=message.seq
            )
        return Frame(
            key=self._key(message.seq),
            content_id=message.content_id,
            name=message.name,
            container=message.container,
            expects_caption=message.expects_caption and self.text_used,
            expires_at=now + _seconds(message.ttl) if message.HasField("ttl") else None,
            arrived_at=now,
            traceparent=_traceparent(message.traceparent),
        )

    def check_frame(self, frame: Frame) -> None:
        """Everything that can be known without decoding.

        Raises:
            WireError: MALFORMED, TOO_LARGE or MODEL_UNKNOWN: it will never be accepted.
        """
        self._check_names(frame)
        check_size("container", len(frame.container), self.limits.frame_bytes)
        try:
            header = Container.from_bytes(frame.container).header
        except LimitError as error:
            raise WireError(
                Reason.TOO_LARGE,
                str(error),
                field="container",
                value=error.value,
                limit=error.limit,
            ) from None
        except SidewireError as error:
            raise malformed("container", str(error)) from None
        check_size("picture's pixels", header.width * header.height, self.limits.picture_pixels)
        if self.models is None:
            return
        try:
            name = stream_name(header.codec_id)
        except UnknownCodecError as error:
            raise WireError(
                Reason.MODEL_UNKNOWN,
                f"{error}; decoded here: {in_words(self.models)}",
                codec_id=header.codec_id,
            ) from None
        if not any(name == known and header.is_of(model_id) for known, model_id in self.models):
            raise WireError(
                Reason.MODEL_UNKNOWN,
                f"codec {name} with model {header.model_id.hex()} is not among those decoded here:"
                f" {in_words(self.models)}",
                codec=name,
                model_id=header.model_id.hex(),
            )

    def skipped(self, message: image_channel_pb2.SkippedFrame) -> Frame:
        """A number without a picture, as a frame with an empty container.

        Raises:
            WireError: CHECKSUM or MALFORMED.
        """
        if skip_crc(self.stream_id, self.epoch, message) != message.crc32c:
            raise WireError(Reason.CHECKSUM, f"skip {message.seq}: CRC32C differs", seq=message.seq)
        return Frame(self._key(message.seq), message.content_id, message.name, b"", False)

    def check_skip(self, frame: Frame, reason: str) -> None:
        """Everything that a skipped frame says.

        Raises:
            WireError: MALFORMED or TOO_LARGE.
        """
        self._check_names(frame)
        check_size("reason", len(reason.encode()), self.limits.caption_bytes)

    def _check_names(self, frame: Frame) -> None:
        if len(frame.content_id) != CONTENT_ID_BYTES:
            length = len(frame.content_id)
            raise malformed("content_id", f"has {length} bytes, must have {CONTENT_ID_BYTES}")
        check_size("name", len(frame.name.encode()), self.limits.name_bytes)

    def rejected_frame(self, frame: Frame) -> Frame:
        """What is kept of a frame that is refused for ever: no container, no field over its limit."""
        name = frame.name.encode()[: self.limits.name_bytes].decode(errors="ignore")
        return replace(
            frame, content_id=frame.content_id[:CONTENT_ID_BYTES], name=name, container=b""
        )

    # Captions

    def caption(self, message: caption_channel_pb2.Caption, now: float) -> Caption:
        """The caption, its checksum right and its key a key; the rest is :meth:`check_caption`.

        Raises:
            WireError: CHECKSUM or MALFORMED.
        """
        if caption_crc(self.stream_id, self.epoch, message) != message.crc32c:
            raise WireError(
                Reason.CHECKSUM, f"caption {message.seq}: CRC32C differs", seq=message.seq
            )
        if not 1 <= message.revision <= LARGEST_REVISION:
            raise malformed("revision", f"is {message.revision}, must be 1 to {LARGEST_REVISION}")
        ttl = self.caption_ttl
        if message.HasField("ttl"):
            ttl = min(ttl, _seconds(message.ttl))
        return Caption(
            key=self._key(message.seq),
            content_id=message.content_id,
            revision=message.revision,
            text=None if message.WhichOneof("body") == "tombstone" else message.text,
            language=message.language,
            expires_at=now + ttl,
            traceparent=_traceparent(message.traceparent),
        )

    def check_caption(self, caption: Caption) -> None:
        """The rest.

        Raises:
            WireError: MALFORMED or TOO_LARGE: it will never be used.
        """
        if len(caption.content_id) not in (0, CONTENT_ID_BYTES):
            length = len(caption.content_id)
            raise malformed("content_id", f"has {length} bytes, must have 0 or {CONTENT_ID_BYTES}")
        check_size("text", caption.held_bytes, self.limits.caption_bytes)
        check_size("language", len(caption.language), LONGEST_LANGUAGE)
        if caption.text == "":
            raise malformed("body", "is empty: send a tombstone where there are no words")

    def rejected_caption(self, caption: Caption) -> Caption:
        """What is kept of a caption that is refused for ever: no words, no field over its limit."""
        return replace(
            caption, content_id=caption.content_id[:CONTENT_ID_BYTES], text=None, language=""
        )


def in_words(models: Iterable[Model]) -> str:
    """Codecs with the first bytes of their models' ids, for messages: ``base f37716ce``."""
    shown = (f"{name} {model_id[:MODEL_ID_BYTES].hex()}".rstrip() for name, model_id in models)
    return ", ".join(sorted(shown)) or "none"


def malformed(field: str, problem: str) -> WireError:
    """MALFORMED, naming the field."""
    return WireError(Reason.MALFORMED, f"{field} {problem}", field=field)


def check_size(field: str, value: int, limit: int) -> None:
    """Raise TOO_LARGE where ``value`` is over ``limit``."""
    if value > limit:
        raise WireError(
            Reason.TOO_LARGE,
            f"{field} is {value}, must be at most {limit}",
            field=field,
            value=value,
            limit=limit,
        )


def _seconds(ttl: Duration) -> float:
    """A ttl in seconds; one that is not positive is over at once."""
    return min(LONGEST_TTL, ttl.seconds + ttl.nanos / 1e9)


def _traceparent(given: str) -> str:
    """A trace context that is not too long to be one: a wrong one is no reason to refuse a picture."""
    return given if len(given) <= LONGEST_TRACEPARENT else ""
