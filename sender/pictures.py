"""The picture channel's sender: from a journal's frames to acks. It has no way to see a caption."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from sender.journal import Outgoing
from sender.labels import shortened
from sender.link import Link, Route, Standing
from sender.observer import SendObserver
from sender.window import Ended, SendWindow, disposition_name
from shared.wire.checksums import frame_crc, skip_crc
from shared.wire.v1 import control_pb2, image_channel_pb2
from shared.wire.v1 import types_pb2 as wire

__all__ = ["PictureLink", "duration"]

log = logging.getLogger("sidewire.sender")


def duration(seconds: float | None) -> Duration | None:
    """Seconds as a protobuf Duration."""
    if seconds is None:
        return None
    whole = int(seconds)
    return Duration(seconds=whole, nanos=round((seconds - whole) * 1e9))


class PictureLink(Link[Outgoing]):
    """Sends frames.

    Args:
        epoch, session_id: from the journal; 0 and empty for a new one.
        codecs: what the frames are; empty if it is not known.
        expects_captions: whether waiting for words makes sense.
        ttl: seconds after which a frame is not worth decoding.
        enter: makes an epoch and session durable before anything is sent in it.
        forget: makes durable that frames have ended.
        first_seq: the lowest number that may still be sent.
    """

    role = "sender"
    channel = wire.CHANNEL_IMAGES
    method = "/sidewire.v1.ImageChannelService/StreamImages"
    response = image_channel_pb2.StreamImagesResponse.FromString

    def __init__(
        self,
        route: Route,
        stream_id: str,
        window: SendWindow[Outgoing],
        *,
        epoch: int,
        session_id: str,
        codecs: Sequence[wire.CodecId],
        expects_captions: bool,
        ttl: float | None,
        enter: Callable[[int, str], Awaitable[None]],
        forget: Callable[[Sequence[int]], Awaitable[None]],
        first_seq: Callable[[], int],
        observer: SendObserver,
    ) -> None:
        super().__init__(route, stream_id, window, observer)
        self._epoch, self._session_id = epoch, session_id
        self._codecs = codecs
        self._expects_captions = expects_captions
        self._ttl = duration(ttl)
        self._enter = enter
        self._forget = forget
        self._first_seq = first_seq
        #: Frames by how they ended.
        self.dispositions: Counter[str] = Counter()

    def request(self) -> control_pb2.OpenSessionRequest:
        return control_pb2.OpenSessionRequest(
            stream_id=self.stream_id,
            channel=self.channel,
            epoch=self._epoch,
            resume_session_id=self._session_id,
            codecs=self._codecs,
            first_seq=self._first_seq(),
        )

    def forget_session(self) -> None:
        self._session_id = ""

    async def opened(self, standing: Standing) -> None:
        self.window.largest = standing.limits.frame_bytes
        if (standing.epoch, standing.session_id) != (self._epoch, self._session_id):
            self._epoch, self._session_id = standing.epoch, standing.session_id
            await self._enter(standing.epoch, standing.session_id)

    def attach_message(self, attach: wire.Attach) -> Message:
        return image_channel_pb2.StreamImagesRequest(attach=attach)

    def message(self, item: Outgoing, standing: Standing) -> Message:
        limit = standing.limits.frame_bytes
        name = shortened(item.name, standing.limits.name_bytes)
        if not item.container or item.size > limit:
            # gRPC would end the whole stream over a message that the receiver's limit forbids.
            reason = item.reason or f"container is {item.size} bytes, the receiver takes {limit}"
            skip = image_channel_pb2.SkippedFrame(
                seq=item.seq, content_id=item.content_id, name=name, reason=reason
            )
            skip.crc32c = skip_crc(standing.stream_id, standing.epoch, skip)
            return image_channel_pb2.StreamImagesRequest(skip=skip)
        frame = image_channel_pb2.ImageFrame(
            seq=item.seq,
            content_id=item.content_id,
            name=name,
            expects_caption=self._expects_captions,
            ttl=self._ttl,
            container=item.container,
            traceparent=self._observer.traceparent(item.seq),
        )
        frame.crc32c = frame_crc(standing.stream_id, standing.epoch, frame)
        return image_channel_pb2.StreamImagesRequest(frame=frame)

    async def ended(self, ended: list[Ended[Outgoing]]) -> None:
        if not ended:
            return
        for one in ended:
            self._observer.ended(one.item.seq, disposition_name(one))
        await self._forget([one.item.seq for one in ended])
        for one in ended:
            if one.reason and one.item.container:  # one without was reported when it was skipped
                log.warning(
                    "%s (seq %d) was not decoded: %s", one.item.name, one.item.seq, one.reason
                )
        self.dispositions.update(map(disposition_name, ended))
