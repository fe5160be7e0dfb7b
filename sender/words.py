"""The caption channel's sender: words with the keys of their pictures, on a connection of their own."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from sender.link import Link, Route, Standing
from sender.observer import UNSEEN, SendObserver
from sender.pictures import duration
from sender.window import Ended, SendWindow, disposition_name
from shared.wire.checksums import caption_crc
from shared.wire.errors import WireError
from shared.wire.positions import Positions
from shared.wire.v1 import caption_channel_pb2, control_pb2
from shared.wire.v1 import types_pb2 as wire

__all__ = ["CaptionLink", "EpochOverError", "Words"]

log = logging.getLogger("sidewire.captions")


class EpochOverError(Exception):
    """The picture sender began a new epoch: every caption goes out again, under its keys."""


@dataclass(frozen=True, slots=True)
class Words:
    """A caption on its way; ``text`` is None in a tombstone."""

    seq: int
    content_id: bytes
    text: str | None
    revision: int = 1

    @property
    def size(self) -> int:
        """What it takes of the byte credit."""
        return len(self.text.encode()) if self.text else 0


class CaptionLink(Link[Words]):
    """Sends captions.

    Args:
        language: BCP 47, or empty.
        ttl: seconds after which a caption is not worth using.
        started: told once where the receiver's caption positions stand.
    """

    role = "publisher"
    channel = wire.CHANNEL_CAPTIONS
    method = "/sidewire.v1.CaptionChannelService/StreamCaptions"
    response = caption_channel_pb2.StreamCaptionsResponse.FromString

    def __init__(
        self,
        route: Route,
        stream_id: str,
        window: SendWindow[Words],
        *,
        language: str,
        ttl: float | None,
        started: asyncio.Future[Positions],
        progressed: Callable[[], None],
        observer: SendObserver = UNSEEN,
    ) -> None:
        super().__init__(route, stream_id, window, observer)
        self._language = language
        self._ttl = duration(ttl)
        self._started = started
        self._progressed = progressed
        #: Of the session; 0 before the first.
        self.epoch = 0
        #: Captions by how they ended.
        self.dispositions: Counter[str] = Counter()

    def request(self) -> control_pb2.OpenSessionRequest:
        return control_pb2.OpenSessionRequest(
            stream_id=self.stream_id, channel=self.channel, epoch=self.epoch
        )

    async def opened(self, standing: Standing) -> None:
        self.epoch = standing.epoch
        self.window.largest = standing.limits.caption_bytes
        if not self._started.done():
            self._started.set_result(standing.positions)

    def stale(self, error: WireError) -> None:
        raise EpochOverError(str(error))

    def attach_message(self, attach: wire.Attach) -> Message:
        return caption_channel_pb2.StreamCaptionsRequest(attach=attach)

    def message(self, item: Words, standing: Standing) -> Message:
        limit = standing.limits.caption_bytes
        text = item.text
        if item.size > limit:
            log.warning("caption %d is %d bytes, must be at most %d", item.seq, item.size, limit)
            text = None
        caption = caption_channel_pb2.Caption(
            seq=item.seq,
            content_id=item.content_id,
            revision=item.revision,
            text=text,
            tombstone=caption_channel_pb2.Tombstone() if text is None else None,
            language=self._language,
            ttl=self._ttl,
            traceparent=self._observer.traceparent(item.seq),
        )
        caption.crc32c = caption_crc(standing.stream_id, standing.epoch, caption)
        return caption_channel_pb2.StreamCaptionsRequest(caption=caption)

    async def ended(self, ended: list[Ended[Words]]) -> None:
        for one in ended:
            self._observer.ended(one.item.seq, disposition_name(one))
        self.dispositions.update(map(disposition_name, ended))
        self._progressed()
