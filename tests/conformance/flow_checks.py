"""What a receiver must do with acks and credit."""

from __future__ import annotations

from shared.wire.errors import Reason
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.ends import require_end, require_still_open
from tests.conformance.peer import CAPTIONS, IMAGES, Peer
from tests.conformance.rules import Check, require, rule

__all__ = ["FLOW_CHECKS"]

FLOW_CHECKS: list[Check[Peer]] = []


@rule("Acks", FLOW_CHECKS)
async def a_picture_ends_once_in_a_sealed_ack(peer: Peer) -> None:
    """A picture that expects no caption is decoded at once; its end is named by one outcome of revision
    0, in an ack whose positions hold its seq and whose checksum is right."""
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        await talk.send(frame=talk.frame(0, peer.containers[0]))
        require_end(await talk.end_of(0), wire.DISPOSITION_DECODED_NO_TEXT)
        await require_still_open(talk, 1)
        require(len(talk.outcomes) == 2, f"{len(talk.outcomes)} outcomes for two messages")


@rule("Acks", FLOW_CHECKS)
async def positions_are_ranges_until_the_gap_closes(peer: Peer) -> None:
    """Ends above a gap are in ranges; when the gap closes, the cumulative position passes them."""
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        for seq in (1, 2, 4):
            await talk.send(skip=talk.skip(seq))
            await talk.end_of(seq)
        require(list(talk.positions.spans()) == [(0, 0), (1, 3), (4, 5)], "positions with two gaps")
        await talk.send(skip=talk.skip(0))
        await talk.end_of(0)
        require(list(talk.positions.spans()) == [(0, 3), (4, 5)], "positions with one gap")


@rule("Acks", FLOW_CHECKS)
async def what_ended_before_is_a_duplicate(peer: Peer) -> None:
    """A picture that ended and comes again is acked as DUPLICATE; the first end stands."""
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        frame = talk.frame(0, peer.containers[0])
        await talk.send(frame=frame)
        await talk.end_of(0)
        await talk.send(frame=frame)
        require_end(await talk.end_of(0, count=2), wire.DISPOSITION_DUPLICATE)


@rule("Acks", FLOW_CHECKS)
async def a_picture_that_comes_twice_ends_once(peer: Peer) -> None:
    """A picture that is still held when it comes again has one end."""
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        frame = talk.frame(0, peer.containers[0])
        await talk.send(frame=frame)
        await talk.send(frame=frame)
        await talk.end_of(0)
        await require_still_open(talk, 1)
        ends = [one for one in talk.outcomes if one.seq == 0]
        real = [one for one in ends if one.disposition != wire.DISPOSITION_DUPLICATE]
        require(len(real) == 1, f"it ended {len(real)} times")


@rule("Credit", FLOW_CHECKS)
async def credit_comes_back(peer: Peer) -> None:
    """What has ended gives its credit back: a sender that used all of it is granted more. Skips cost no
    bytes."""
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        first = talk.attached.credit
        for seq in range(first.frames):
            await talk.send(skip=talk.skip(seq))
        await talk.until(lambda: talk.credit.frames > first.frames)
        require(talk.credit.bytes == first.bytes, "skips have moved the byte credit")


@rule("Credit", FLOW_CHECKS)
async def more_than_the_credit_is_refused(peer: Peer) -> None:
    """A message beyond the credit is refused OVER_CREDIT; the stream goes on."""
    session = await peer.begin()
    # Captions without pictures are held, so no credit comes back meanwhile.
    async with peer.attach(CAPTIONS, session) as talk:
        credit = talk.attached.credit
        size = min(session.limits.caption_bytes, credit.bytes)
        fit = min(credit.frames, credit.bytes // size)
        for seq in range(fit + 1):
            await talk.send(caption=talk.caption(seq, "x" * size))
        await talk.refusal_of(fit, Reason.OVER_CREDIT)
        require(len(talk.refusals) == 1, f"{len(talk.refusals)} messages were refused, not 1")
        async with peer.attach(IMAGES, session) as pictures:
            await pictures.send(skip=pictures.skip(0))
            await pictures.end_of(0)
        require_end(await talk.end_of(0, 1), wire.DISPOSITION_REJECTED, revision=1)
