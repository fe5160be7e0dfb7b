"""What a receiver must do with sessions, epochs and attaches."""

from __future__ import annotations

from shared.wire.errors import Reason, WireError
from shared.wire.positions import Positions
from shared.wire.v1 import control_pb2
from tests.conformance.peer import CAPTIONS, IMAGES, Peer, refused
from tests.conformance.rules import Check, Violation, require, rule

__all__ = ["SESSION_CHECKS"]

SESSION_CHECKS: list[Check[Peer]] = []


def require_reason(error: WireError, reason: Reason) -> None:
    """What a call ended for must be this."""
    require(error.reason is reason, f"the call ended with {error.reason.name}, not {reason.name}")


@rule("Sessions and epochs", SESSION_CHECKS)
async def capabilities_state_the_limits(peer: Peer) -> None:
    """GetCapabilities names every limit; none is 0."""
    answer = await peer.control("GetCapabilities", control_pb2.GetCapabilitiesRequest())
    for field in answer.limits.DESCRIPTOR.fields:
        value = getattr(answer.limits, field.name)
        parts = [value] if isinstance(value, int) else [value.frames, value.bytes]
        require(all(parts), f"limits.{field.name} is 0")


@rule("Sessions and epochs", SESSION_CHECKS)
async def a_new_stream_begins_empty(peer: Peer) -> None:
    """A stream that is new to the receiver gets an epoch above 0, a session id and empty positions."""
    session = await peer.open(IMAGES, stream_id=f"{peer.stream_id}-new")
    require(session.epoch >= 1, "epoch is 0")
    require(session.session_id, "session_id is empty")
    require(session.stream_id == f"{peer.stream_id}-new", f"stream_id is {session.stream_id!r}")
    empty = Positions()
    require(Positions.from_message(session.image_positions) == empty, "image_positions")
    require(Positions.from_message(session.caption_positions) == empty, "caption_positions")


@rule("Sessions and epochs", SESSION_CHECKS)
async def a_bad_stream_id_is_malformed(peer: Peer) -> None:
    """A stream id is 1 to 64 characters of A-Za-z0-9._- and does not begin with a dot."""
    for stream_id in ("", ".hidden", "a/b", "ö", "x" * 65):
        await refused(peer.open(IMAGES, stream_id=stream_id), Reason.MALFORMED)


@rule("Sessions and epochs", SESSION_CHECKS)
async def a_session_is_of_a_channel(peer: Peer) -> None:
    """OpenSession without a channel is MALFORMED."""
    request = control_pb2.OpenSessionRequest(stream_id=peer.stream_id)
    await refused(peer.control("OpenSession", request), Reason.MALFORMED)


@rule("Sessions and epochs", SESSION_CHECKS)
async def both_channels_share_a_session(peer: Peer) -> None:
    """A publisher that asks for epoch 0 gets the picture sender's session and epoch."""
    pictures = await peer.begin()
    words = await peer.open(CAPTIONS)
    require(words.session_id == pictures.session_id, "the session ids differ")
    require(words.epoch == pictures.epoch, f"epochs {pictures.epoch} and {words.epoch}")


@rule("Sessions and epochs", SESSION_CHECKS)
async def a_publisher_alone_claims_no_epoch(peer: Peer) -> None:
    """Where the publisher came first, the picture sender's epoch 0 means the publisher's epoch."""
    stream_id = f"{peer.stream_id}-words-first"
    words = await peer.open(CAPTIONS, stream_id=stream_id)
    pictures = await peer.open(IMAGES, stream_id=stream_id)
    require(pictures.epoch == words.epoch, f"epochs {words.epoch} and {pictures.epoch}")
    require(pictures.session_id == words.session_id, "the session ids differ")


@rule("Sessions and epochs", SESSION_CHECKS)
async def a_new_journal_begins_a_new_epoch(peer: Peer) -> None:
    """A picture sender that asks for epoch 0 of a claimed stream gets a higher epoch, empty."""
    old = await peer.begin()
    async with peer.attach(IMAGES, old) as talk:
        await talk.send(skip=talk.skip(0))
        await talk.end_of(0)
    new = await peer.begin()
    require(new.epoch > old.epoch, f"epoch {new.epoch} after {old.epoch}")
    require(new.session_id != old.session_id, "the session id is the old one")
    require(Positions.from_message(new.image_positions) == Positions(), "positions are not empty")


@rule("Sessions and epochs", SESSION_CHECKS)
async def an_old_epoch_is_fenced(peer: Peer) -> None:
    """When an epoch begins, calls of the one before end with STALE_EPOCH, and it cannot be opened again."""
    old = await peer.begin()
    async with peer.attach(IMAGES, old) as pictures, peer.attach(CAPTIONS, old) as words:
        await peer.begin()
        require_reason(await pictures.silence(), Reason.STALE_EPOCH)
        require_reason(await words.silence(), Reason.STALE_EPOCH)
    for channel in (IMAGES, CAPTIONS):
        await refused(peer.open(channel, epoch=old.epoch), Reason.STALE_EPOCH)


@rule("Sessions and epochs", SESSION_CHECKS)
async def a_publisher_begins_no_epoch(peer: Peer) -> None:
    """A publisher that asks for an epoch beyond the current one is MALFORMED."""
    session = await peer.begin()
    await refused(peer.open(CAPTIONS, epoch=session.epoch + 1), Reason.MALFORMED)


@rule("Sessions and epochs", SESSION_CHECKS)
async def a_resumed_session_stands_where_it_stood(peer: Peer) -> None:
    """With its epoch and session id a sender gets both again, and the positions of all that has ended."""
    session = await peer.begin()
    async with peer.attach(IMAGES, session) as talk:
        for seq in (0, 1, 3):
            await talk.send(skip=talk.skip(seq))
            await talk.end_of(seq)
    again = await peer.open(IMAGES, epoch=session.epoch, resume_session_id=session.session_id)
    require(again.epoch == session.epoch, f"epoch {again.epoch}, not {session.epoch}")
    require(again.session_id == session.session_id, "another session id")
    ended = Positions(2)
    ended.add(3)
    require(Positions.from_message(again.image_positions) == ended, "OpenSession's positions")
    async with peer.attach(IMAGES, again) as talk:
        require(talk.positions == ended, "attached's positions")


@rule("Sessions and epochs", SESSION_CHECKS)
async def an_unknown_session_is_not_resumed(peer: Peer) -> None:
    """resume_session_id of another session is SESSION_UNKNOWN."""
    session = await peer.begin()
    resume = peer.open(IMAGES, epoch=session.epoch, resume_session_id="0" * 32)
    await refused(resume, Reason.SESSION_UNKNOWN)


@rule("Sessions and epochs", SESSION_CHECKS)
async def a_closed_channel_is_shown(peer: Peer) -> None:
    """CloseSession says whether all has ended, and GetSession shows the channel as closed."""
    session = await peer.begin()
    async with peer.attach(IMAGES, session) as talk:
        await talk.send(skip=talk.skip(0))
        await talk.end_of(0)
        close = control_pb2.CloseSessionRequest(session_id=session.session_id, channel=IMAGES)
        answer = await peer.control("CloseSession", close)
        require(answer.all_ended, "all_ended is false")
        request = control_pb2.GetSessionRequest(session_id=session.session_id)
        shown = (await peer.control("GetSession", request)).session
        require(shown.images.closed, "images.closed is false")
        require(not shown.captions.closed, "captions.closed is true")


@rule("Attaching", SESSION_CHECKS)
async def attached_comes_first(peer: Peer) -> None:
    """The receiver's first message is attached, with credit for at least one message."""
    session = await peer.begin()
    for channel in (IMAGES, CAPTIONS):
        async with peer.attach(channel, session) as talk:
            credit = talk.attached.credit
            require(credit.frames and credit.bytes, f"the first credit is {credit}")


@rule("Attaching", SESSION_CHECKS)
async def nothing_goes_before_the_attach(peer: Peer) -> None:
    """A first message that is no attach, or cannot be read, ends the call with NOT_ATTACHED."""
    session = await peer.begin()
    for first in (b"", b"\xff\xff"):
        async with peer.call(IMAGES, session) as talk:
            await talk.send_raw(first)
            require_reason(await talk.silence(), Reason.NOT_ATTACHED)
    async with peer.call(IMAGES, session) as talk:
        await talk.send(skip=talk.skip(0))
        require_reason(await talk.silence(), Reason.NOT_ATTACHED)


@rule("Attaching", SESSION_CHECKS)
async def an_unknown_session_is_not_attached(peer: Peer) -> None:
    """An attach with a session id that is not open ends the call with SESSION_UNKNOWN."""
    session = await peer.begin()
    session.session_id = "0" * 32
    await _attach_must_fail(peer, session, session.epoch, Reason.SESSION_UNKNOWN)


@rule("Attaching", SESSION_CHECKS)
async def another_epoch_is_not_attached(peer: Peer) -> None:
    """An attach with another epoch than the session's ends the call with STALE_EPOCH."""
    session = await peer.begin()
    await _attach_must_fail(peer, session, session.epoch - 1, Reason.STALE_EPOCH)


async def _attach_must_fail(
    peer: Peer, session: control_pb2.OpenSessionResponse, epoch: int, reason: Reason
) -> None:
    for channel in (IMAGES, CAPTIONS):
        try:
            async with peer.attach(channel, session, epoch):
                raise Violation("it was attached")
        except WireError as error:
            require_reason(error, reason)


@rule("Attaching", SESSION_CHECKS)
async def a_second_attach_supersedes_the_first(peer: Peer) -> None:
    """Another client on the same channel ends the older call with SUPERSEDED, and is served itself."""
    session = await peer.begin()
    async with peer.attach(IMAGES, session) as older, peer.attach(IMAGES, session) as newer:
        require_reason(await older.silence(), Reason.SUPERSEDED)
        await newer.send(skip=newer.skip(0))
        await newer.end_of(0)
