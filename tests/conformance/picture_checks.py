"""What a receiver must do with pictures."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from shared.wire.errors import Reason
from shared.wire.v1 import control_pb2
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.ends import require_end, require_still_open
from tests.conformance.peer import CAPTIONS, IMAGES, Peer
from tests.conformance.rules import Check, NotApplicable, require, rule

__all__ = ["PICTURE_CHECKS"]

PICTURE_CHECKS: list[Check[Peer]] = []
#: Where the two forms of a container have their model's id, and what the short one begins with.
LONG_MODEL_ID, SHORT_MODEL_ID = slice(4, 8), slice(1, 2)
SHORT_MARK = 0b101


async def require_real_decoder(peer: Peer) -> None:
    """Raise NotApplicable for a receiver that names no codec: it takes every container."""
    answer = await peer.control("GetCapabilities", control_pb2.GetCapabilitiesRequest())
    if not answer.codecs:
        raise NotApplicable("this receiver names no codec that it decodes")


@rule("Pictures", PICTURE_CHECKS)
async def a_wrong_checksum_is_refused(peer: Peer) -> None:
    """A message whose checksum differs is refused CHECKSUM and can be sent again; the stream goes on."""
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        frame = talk.frame(0, peer.containers[0])
        frame.crc32c ^= 1
        await talk.send(frame=frame)
        await talk.refusal_of(0, Reason.CHECKSUM)
        skip = talk.skip(1)
        skip.crc32c ^= 1
        await talk.send(skip=skip)
        await talk.refusal_of(1, Reason.CHECKSUM)
        require(not talk.outcomes, "a refused message has ended")
        await talk.send(frame=talk.frame(0, peer.containers[0]))
        require_end(await talk.end_of(0), wire.DISPOSITION_DECODED_NO_TEXT)


@rule("Pictures", PICTURE_CHECKS)
async def what_cannot_be_read_is_refused_without_seq(peer: Peer) -> None:
    """Bytes that are no request, a request without a message, and a second attach are refused MALFORMED
    without seq; the stream goes on."""
    session = await peer.begin()
    for channel in (IMAGES, CAPTIONS):
        async with peer.attach(channel, session) as talk:
            for count, message in enumerate((b"\xff\xff", b""), start=1):
                await talk.send_raw(message)
                await talk.refusal_of(None, Reason.MALFORMED)
                await talk.until(lambda count=count, talk=talk: len(talk.refusals) == count)
            await talk.send(attach=wire.Attach(session_id=session.session_id, epoch=session.epoch))
            await talk.until(lambda talk=talk: len(talk.refusals) == 3)
            require(not talk.refusals[2][0].HasField("seq"), "the refusal has a seq")
    async with peer.attach(IMAGES, session) as talk:
        await require_still_open(talk, 0)


@rule("Pictures", PICTURE_CHECKS)
async def a_key_has_one_content(peer: Peer) -> None:
    """Another content id under a key that is taken is refused CONTENT_CHANGED."""
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        await talk.send(frame=talk.frame(0, peer.containers[0]))
        await talk.end_of(0)
        await talk.send(frame=talk.frame(0, peer.containers[0], content_id=bytes(16)))
        await talk.refusal_of(0, Reason.CONTENT_CHANGED)
        await require_still_open(talk, 1)


@rule("Pictures", PICTURE_CHECKS)
async def seq_stays_in_the_window(peer: Peer) -> None:
    """A seq that is seq_window or farther above the cumulative position is refused SEQ_TOO_FAR; the one
    below it is not."""
    session = await peer.begin()
    async with peer.attach(IMAGES, session) as talk:
        end = talk.positions.cumulative + session.limits.seq_window
        await talk.send(skip=talk.skip(end))
        await talk.refusal_of(end, Reason.SEQ_TOO_FAR)
        await require_still_open(talk, end - 1)


@rule("Pictures", PICTURE_CHECKS)
async def an_unknown_model_is_rejected(peer: Peer) -> None:
    """A picture of a model that is not there is refused MODEL_UNKNOWN and ends as REJECTED."""
    await require_real_decoder(peer)
    container = bytearray(peer.containers[0])
    place = SHORT_MODEL_ID if container[0] >> 5 == SHORT_MARK else LONG_MODEL_ID
    container[place] = bytes(byte ^ 0xFF for byte in container[place])
    await _require_rejected(peer, Reason.MODEL_UNKNOWN, bytes(container))


@rule("Pictures", PICTURE_CHECKS)
async def what_is_no_container_is_rejected(peer: Peer) -> None:
    """Bytes that are no container are refused MALFORMED and end as REJECTED."""
    await _require_rejected(peer, Reason.MALFORMED, b"no container")


@rule("Pictures", PICTURE_CHECKS)
async def a_content_id_has_16_bytes(peer: Peer) -> None:
    """A picture whose content id has another length is refused MALFORMED and ends as REJECTED."""
    await _require_rejected(peer, Reason.MALFORMED, peer.containers[0], content_id=b"short")


@rule("Pictures", PICTURE_CHECKS)
async def a_long_name_is_rejected(peer: Peer) -> None:
    """A name over name_bytes in UTF-8 is refused TOO_LARGE and ends as REJECTED."""
    session = await peer.begin()
    name = "ö" * (session.limits.name_bytes // 2 + 1)
    await _require_rejected(peer, Reason.TOO_LARGE, peer.containers[0], name=name)


async def _require_rejected(peer: Peer, reason: Reason, container: bytes, **fields: object) -> None:
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        await talk.send(frame=talk.frame(0, container, **fields))
        await talk.refusal_of(0, reason)
        require_end(await talk.end_of(0), wire.DISPOSITION_REJECTED)
        await require_still_open(talk, 1)


@rule("Pictures", PICTURE_CHECKS)
async def a_damaged_payload_is_rejected(peer: Peer) -> None:
    """A container that is well formed but cannot be decoded ends as REJECTED; the next one is decoded."""
    await require_real_decoder(peer)
    container = bytearray(peer.containers[0])
    container[-1] ^= 0xFF
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        await talk.send(frame=talk.frame(0, bytes(container)))
        require_end(await talk.end_of(0), wire.DISPOSITION_REJECTED)
        await talk.send(frame=talk.frame(1, peer.containers[0]))
        require_end(await talk.end_of(1), wire.DISPOSITION_DECODED_NO_TEXT)


@rule("Pictures", PICTURE_CHECKS)
async def a_ttl_that_is_over_expires(peer: Peer) -> None:
    """A picture whose ttl is over before it is decoded ends as EXPIRED."""
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        await talk.send(frame=talk.frame(0, peer.containers[0], ttl=Duration()))
        require_end(await talk.end_of(0), wire.DISPOSITION_EXPIRED)


@rule("Pictures", PICTURE_CHECKS)
async def a_skip_is_rejected(peer: Peer) -> None:
    """A number without a picture ends as REJECTED, and is not refused."""
    async with peer.attach(IMAGES, await peer.begin()) as talk:
        await require_still_open(talk, 0)
        require(not talk.refusals, "it was refused")
