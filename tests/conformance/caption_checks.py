"""What a receiver must do with captions: none of it can fail a picture."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration

from shared.wire.errors import Reason
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.ends import require_end
from tests.conformance.peer import CAPTIONS, IMAGES, Peer
from tests.conformance.rules import Check, require, rule
from tests.conformance.talk import Talk, content_id

__all__ = ["CAPTION_CHECKS"]

CAPTION_CHECKS: list[Check[Peer]] = []
WITH_TEXT = wire.DISPOSITION_DECODED_WITH_TEXT
NO_TEXT = wire.DISPOSITION_DECODED_NO_TEXT
TEXT_LATE = wire.DISPOSITION_DECODED_TEXT_LATE
NOTED = wire.DISPOSITION_NOTED
REJECTED = wire.DISPOSITION_REJECTED


class Both(NamedTuple):
    """Both channels of one session."""

    pictures: Talk
    words: Talk


@asynccontextmanager
async def both(peer: Peer) -> AsyncIterator[Both]:
    """Attached to a fresh session."""
    session = await peer.begin()
    async with peer.attach(IMAGES, session) as pictures, peer.attach(CAPTIONS, session) as words:
        yield Both(pictures, words)


async def require_used(peer: Peer, pictures: Talk, words: Talk, revision: int) -> None:
    """The picture was made with this revision; or without, and the words stand beside it, where its codec
    reads none."""
    reads = await peer.reads_words()
    picture, caption = await pictures.end_of(0), await words.end_of(0, revision)
    require_end(picture, WITH_TEXT if reads else NO_TEXT, revision=revision if reads else 0)
    require_end(caption, WITH_TEXT if reads else NOTED, revision=revision)


async def noted_before(words: Talk) -> None:
    """The receiver has taken all that was sent on this channel: it has refused what came after it."""
    count = len(words.refusals)
    await words.send_raw(b"\xff\xff")
    await words.until(lambda: len(words.refusals) > count)


@rule("Captions", CAPTION_CHECKS)
async def a_caption_may_come_first(peer: Peer) -> None:
    """A caption that came before its picture is used: both ends are DECODED_WITH_TEXT and name its
    revision. Where the codec reads no words it is NOTED."""
    async with both(peer) as (pictures, words):
        container = peer.containers[0]
        words_of_it = words.caption(0, "Zwei 🦜", content_id=content_id(container), revision=5)
        await words.send(caption=words_of_it)
        await noted_before(words)
        await pictures.send(frame=pictures.frame(0, container, expects_caption=True))
        await require_used(peer, pictures, words, 5)


@rule("Captions", CAPTION_CHECKS)
async def a_caption_may_come_second(peer: Peer) -> None:
    """A picture that expects a caption waits for it, or is decoded again with it if it comes later; it does
    neither where its codec reads no words."""
    async with both(peer) as (pictures, words):
        await pictures.send(frame=pictures.frame(0, peer.containers[0], expects_caption=True))
        await words.send(caption=words.caption(0, "two parrots"))
        first, caption = await pictures.end_of(0), await words.end_of(0, 1)
        late = first.disposition == NO_TEXT
        after = TEXT_LATE if await peer.reads_words() else NOTED
        require_end(first, NO_TEXT if late else WITH_TEXT, revision=0 if late else 1)
        require_end(caption, after if late else WITH_TEXT, revision=1)


@rule("Captions", CAPTION_CHECKS)
async def a_caption_that_never_comes_costs_time_only(peer: Peer) -> None:
    """A picture whose caption does not come is decoded without text after caption_wait."""
    async with both(peer) as (pictures, _):
        await pictures.send(frame=pictures.frame(0, peer.containers[0], expects_caption=True))
        require_end(await pictures.end_of(0), NO_TEXT)


@rule("Captions", CAPTION_CHECKS)
async def a_late_caption_is_used_or_expires(peer: Peer) -> None:
    """A caption of a picture that has ended leads to another decode (DECODED_TEXT_LATE; NOTED where the
    codec reads no words), or is EXPIRED where the container is no longer kept. The picture's own end is
    not changed."""
    async with both(peer) as (pictures, words):
        await pictures.send(frame=pictures.frame(0, peer.containers[0]))
        require_end(await pictures.end_of(0), NO_TEXT)
        await words.send(caption=words.caption(0, "late words"))
        outcome = await words.end_of(0, 1)
        expired = outcome.disposition == wire.DISPOSITION_EXPIRED
        used = TEXT_LATE if await peer.reads_words() else NOTED
        require_end(outcome, outcome.disposition if expired else used, revision=1)
        require(len(pictures.outcomes) == 1, "the picture ended again")


@rule("Captions", CAPTION_CHECKS)
async def a_tombstone_lets_the_picture_go(peer: Peer) -> None:
    """A tombstone is NOTED, and its picture is decoded without text."""
    async with both(peer) as (pictures, words):
        await words.send(caption=words.caption(0, None))
        await noted_before(words)
        await pictures.send(frame=pictures.frame(0, peer.containers[0], expects_caption=True))
        require_end(await pictures.end_of(0), NO_TEXT)
        require_end(await words.end_of(0, 1), NOTED, revision=1)


@rule("Captions", CAPTION_CHECKS)
async def a_newer_revision_replaces_an_older(peer: Peer) -> None:
    """The highest revision of the captions that wait for a picture is used, in whatever order they came;
    the others end as SUPERSEDED."""
    async with both(peer) as (pictures, words):
        for revision in (2, 1, 3):
            await words.send(caption=words.caption(0, f"words {revision}", revision=revision))
        for revision in (1, 2):
            superseded = await words.end_of(0, revision)
            require_end(superseded, wire.DISPOSITION_SUPERSEDED, revision=revision)
        await noted_before(words)
        await pictures.send(frame=pictures.frame(0, peer.containers[0], expects_caption=True))
        await require_used(peer, pictures, words, 3)


@rule("Captions", CAPTION_CHECKS)
async def a_revision_ends_once(peer: Peer) -> None:
    """A revision that has ended and comes again is a DUPLICATE."""
    async with both(peer) as (pictures, words):
        await pictures.send(frame=pictures.frame(0, peer.containers[0]))
        await pictures.end_of(0)
        caption = words.caption(0, "late words")
        await words.send(caption=caption)
        await words.end_of(0, 1)
        await words.send(caption=caption)
        again = await words.end_of(0, 1, count=2)
        require_end(again, wire.DISPOSITION_DUPLICATE, revision=1)


@rule("Captions", CAPTION_CHECKS)
async def another_pictures_caption_is_rejected(peer: Peer) -> None:
    """A caption with another content id than its picture's ends as REJECTED, for good: the same revision is
    a DUPLICATE then. The picture is decoded without it."""
    async with both(peer) as (pictures, words):
        await words.send(caption=words.caption(0, "of another", content_id=bytes(16)))
        await noted_before(words)
        await pictures.send(frame=pictures.frame(0, peer.containers[0], expects_caption=True))
        require_end(await words.end_of(0, 1), REJECTED, revision=1)
        await words.send(caption=words.caption(0, "corrected"))
        again = await words.end_of(0, 1, count=2)
        require_end(again, wire.DISPOSITION_DUPLICATE, revision=1)
        require_end(await pictures.end_of(0), NO_TEXT)


@rule("Captions", CAPTION_CHECKS)
async def a_long_caption_is_rejected(peer: Peer) -> None:
    """Text over caption_bytes is refused TOO_LARGE and ends as REJECTED; the stream goes on."""
    async with both(peer) as (_, words):
        text = "ö" * (words.session.limits.caption_bytes // 2 + 1)
        await _require_rejected(words, Reason.TOO_LARGE, text=text)


@rule("Captions", CAPTION_CHECKS)
async def an_empty_caption_is_rejected(peer: Peer) -> None:
    """Empty text is refused MALFORMED and ends as REJECTED: "no words" is a tombstone."""
    async with both(peer) as (_, words):
        await _require_rejected(words, Reason.MALFORMED, text="")


@rule("Captions", CAPTION_CHECKS)
async def a_captions_content_id_has_16_bytes_or_none(peer: Peer) -> None:
    """A content id of another length is refused MALFORMED and ends as REJECTED."""
    async with both(peer) as (_, words):
        await _require_rejected(words, Reason.MALFORMED, text="words", content_id=b"short")


async def _require_rejected(words: Talk, reason: Reason, text: str, **fields: object) -> None:
    await words.send(caption=words.caption(0, text, **fields))
    await words.refusal_of(0, reason)
    require_end(await words.end_of(0, 1), REJECTED, revision=1)
    await noted_before(words)


@rule("Captions", CAPTION_CHECKS)
async def revisions_begin_at_1(peer: Peer) -> None:
    """Revision 0 is refused MALFORMED and has no end."""
    async with both(peer) as (_, words):
        await words.send(caption=words.caption(0, "words", revision=0))
        await words.refusal_of(0, Reason.MALFORMED)
        await noted_before(words)
        require(not words.outcomes, "it has an end")


@rule("Captions", CAPTION_CHECKS)
async def a_damaged_caption_is_refused(peer: Peer) -> None:
    """A caption whose checksum differs is refused CHECKSUM, with its revision, and can be sent again."""
    async with both(peer) as (pictures, words):
        caption = words.caption(0, "words", revision=2)
        caption.crc32c ^= 1
        await words.send(caption=caption)
        await words.refusal_of(0, Reason.CHECKSUM)
        require(words.refusals[0][0].revision == 2, "the refusal has another revision")
        await words.send(caption=words.caption(0, "words", revision=2))
        await noted_before(words)
        await pictures.send(frame=pictures.frame(0, peer.containers[0], expects_caption=True))
        await require_used(peer, pictures, words, 2)


@rule("Captions", CAPTION_CHECKS)
async def a_caption_that_nobody_asks_for_expires(peer: Peer) -> None:
    """A caption whose picture does not come within its ttl ends as EXPIRED."""
    async with both(peer) as (_, words):
        await words.send(caption=words.caption(0, "words", ttl=Duration(nanos=1)))
        require_end(await words.end_of(0, 1), wire.DISPOSITION_EXPIRED, revision=1)


@rule("Captions", CAPTION_CHECKS)
async def a_skipped_pictures_caption_is_rejected(peer: Peer) -> None:
    """A caption that waits for a picture which then is skipped ends as REJECTED."""
    async with both(peer) as (pictures, words):
        await words.send(caption=words.caption(0, "words"))
        await noted_before(words)
        await pictures.send(skip=pictures.skip(0))
        require_end(await words.end_of(0, 1), REJECTED, revision=1)
