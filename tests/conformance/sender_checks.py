"""What a sender must do, read off the transcript of its run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.wire.checksums import caption_crc, frame_crc, skip_crc
from shared.wire.errors import Reason
from shared.wire.v1.caption_channel_pb2 import Caption
from shared.wire.v1.image_channel_pb2 import ImageFrame, SkippedFrame
from shared.wire.v1.types_pb2 import CHANNEL_IMAGES
from tests.conformance.rules import Check, NotApplicable, Violation, require, rule
from tests.conformance.stage import size_of
from tests.conformance.transcript import LIMITS, Connection, Mark, Run, Side

__all__ = ["SENDER_CHECKS"]

SENDER_CHECKS: list[Check[Run]] = []
STREAM_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def sides(run: Run) -> Iterator[Side]:
    """The channels; each must have been used."""
    require(run.sides, "its command names neither {images} nor {captions}")
    for side in run.sides:
        require(side.arrivals, f"{side.name}: nothing was sent")
        yield side


def in_act(side: Side, act: str) -> Connection:
    """The connection that lived through an act."""
    for connection in side.connections:
        if connection.act == act:
            return connection
    raise Violation(f"{side.name}: it did not get as far as {act!r}: are there six pictures?")


def marks(connection: Connection) -> set[Mark]:
    """All that was sent on a connection."""
    return {arrival.mark for arrival in connection.arrivals}


@rule("Sessions and epochs", SENDER_CHECKS)
async def it_opens_one_stream(run: Run) -> None:
    """Every OpenSession of a run names the same stream, with an id of 1 to 64 characters of
    A-Za-z0-9._-."""
    streams = {one.request.stream_id for side in sides(run) for one in side.openings}
    require(len(streams) == 1, f"{len(streams)} streams: {sorted(streams)}")
    (stream_id,) = streams
    require(STREAM_ID.fullmatch(stream_id), f"stream_id is {stream_id!r}")


@rule("Sessions and epochs", SENDER_CHECKS)
async def it_keeps_its_epoch(run: Run) -> None:
    """Whoever was told an epoch opens the stream with it from then on."""
    for side in sides(run):
        told = 0
        for number, one in enumerate(side.openings, start=1):
            asked = one.request.epoch
            require(not told or asked == told, f"{side.name}: opening {number} asks for {asked}")
            told = one.answer.epoch if one.answer else told


@rule("Sessions and epochs", SENDER_CHECKS)
async def a_picture_sender_resumes(run: Run) -> None:
    """After a lost connection a picture sender opens with the session id that it had."""
    for side in sides(run):
        if side.channel != CHANNEL_IMAGES:
            continue
        lost = in_act(side, "trickle").session
        require(lost is not None, "it attached without a session")
        answered = [one for one in side.openings if one.answer]
        resumed = answered[1].request.resume_session_id if len(answered) > 1 else ""
        require(resumed == lost.session_id, f"resume_session_id is {resumed!r} after a lost call")
        return
    raise NotApplicable("it sends no pictures")


@rule("Several gateways", SENDER_CHECKS)
async def it_follows_a_redirect(run: Run) -> None:
    """After NOT_OWNER the next OpenSession goes to the owner that the refusal named."""
    for side in sides(run):
        first, second = side.openings[:2]
        require(first.refused is Reason.NOT_OWNER, f"{side.name}: no redirect")
        require(second.address != first.address, f"{side.name}: it asked the same address again")


@rule("Stopping", SENDER_CHECKS)
async def it_waits_for_a_receiver_that_stops(run: Run) -> None:
    """After DRAINING it comes again."""
    for side in sides(run):
        require(side.openings[1].refused is Reason.DRAINING, f"{side.name}: not refused DRAINING")
        require(side.connections, f"{side.name}: it never came again")
        drained = side.connections.index(in_act(side, "resume"))
        require(side.connections[drained + 1 :], f"{side.name}: it did not come after a drain")


@rule("Attaching", SENDER_CHECKS)
async def it_attaches_first(run: Run) -> None:
    """The first message of each call, and no other, is an attach with the session id and epoch of the
    newest OpenSession."""
    for side in sides(run):
        for number, one in enumerate(side.connections, start=1):
            place = f"{side.name}, call {number}"
            require(one.first == "attach", f"{place} begins with {one.first or 'nothing'}")
            require(one.session is not None, f"{place} without a session")
            given = (one.session.session_id, one.session.epoch)
            found = (one.attach.session_id, one.attach.epoch)
            require(found == given, f"{place} attaches {found}, was given {given}")
            require((-1, 0) not in marks(one), f"{place} has an empty message or another attach")


@rule("Sessions and epochs", SENDER_CHECKS)
async def it_opens_a_forgotten_session_anew(run: Run) -> None:
    """After SESSION_UNKNOWN it opens the stream again, without that session id, and goes on."""
    for side in sides(run):
        gone = in_act(side, "forget").session
        require(gone is not None, f"{side.name}: no session")
        later = in_act(side, "finish")
        require(later.session is not None, f"{side.name}: it did not open again")
        require(
            later.attach.session_id != gone.session_id, f"{side.name}: it attached the old session"
        )


@rule("Credit", SENDER_CHECKS)
async def it_stays_within_its_credit(run: Run) -> None:
    """Messages and bytes since the attach never exceed what was granted since the attach."""
    for side in sides(run):
        for _, one in side.arrivals:
            place = f"{side.name}, seq {one.mark[0]}"
            used, granted = one.used, one.granted
            require(used.frames <= granted.frames, f"{place}: {used} of {granted}")
            require(used.bytes <= granted.bytes, f"{place}: {used} of {granted}")


@rule("Checksums", SENDER_CHECKS)
async def its_checksums_are_right(run: Run) -> None:
    """Every message carries the CRC32C over its stream, epoch and fields."""
    for side in sides(run):
        for connection, one in side.arrivals:
            session, message = connection.session, one.message
            assert session is not None
            key = session.stream_id, session.epoch
            match message:
                case ImageFrame():
                    crc32c = frame_crc(*key, message)
                case SkippedFrame():
                    crc32c = skip_crc(*key, message)
                case Caption():
                    crc32c = caption_crc(*key, message)
                case _:
                    continue
            found = f"{side.name}, seq {message.seq}: {message.crc32c:08x}, not {crc32c:08x}"
            require(crc32c == message.crc32c, found)


@rule("Messages and fields", SENDER_CHECKS)
async def its_fields_are_within_limits(run: Run) -> None:
    """Content ids have 16 bytes (none is fine for a caption), sizes are within the limits that OpenSession
    stated, revisions begin at 1."""
    for side in sides(run):
        for _, one in side.arrivals:
            message = one.message
            place = f"{side.name}, seq {one.mark[0]}"
            if message is None:
                continue
            lengths = (0, 16) if isinstance(message, Caption) else (16,)
            length = len(message.content_id)
            require(length in lengths, f"{place}: content_id has {length} bytes")
            if isinstance(message, Caption):
                require(size_of(message) <= LIMITS.caption_bytes, f"{place}: text is too long")
                require(message.revision >= 1, f"{place}: revision is {message.revision}")
                words = message.WhichOneof("body") == "tombstone" or message.text
                require(words, f"{place}: neither words nor a tombstone")
            else:
                require(size_of(message) <= LIMITS.frame_bytes, f"{place}: container is too large")
                require(len(message.name.encode()) <= LIMITS.name_bytes, f"{place}: name")


@rule("Identity", SENDER_CHECKS)
async def a_key_means_one_thing(run: Run) -> None:
    """Whatever is sent again under a seq (and revision) has the content that it had."""
    for side in sides(run):
        known: dict[Mark, bytes] = {}
        for connection, one in side.arrivals:
            if one.message is None:
                continue
            first = known.setdefault(one.mark, one.message.SerializeToString())
            same = first == one.message.SerializeToString()
            require(same, f"{side.name}, seq {one.mark[0]} changed in {connection.act!r}")


@rule("Identity", SENDER_CHECKS)
async def no_number_is_left_out(run: Run) -> None:
    """A picture sender sends a frame or a skip for every seq from 0 up."""
    for side in sides(run):
        if side.channel != CHANNEL_IMAGES:
            continue
        sent = {one.mark[0] for _, one in side.arrivals}
        missing = sorted(set(range(max(sent) + 1)) - sent)
        require(not missing, f"never sent: {missing[:10]}")
        return
    raise NotApplicable("it sends no pictures")


@rule("Refusals", SENDER_CHECKS)
async def what_came_damaged_is_sent_again(run: Run) -> None:
    """After a refusal with CHECKSUM the same message comes again on the same call."""
    for side in sides(run):
        trickled = in_act(side, "trickle")
        for mark in trickled.refused:
            times = sum(one.mark == mark for one in trickled.arrivals)
            require(times > 1, f"{side.name}, seq {mark[0]} was not sent again")


@rule("Acks", SENDER_CHECKS)
async def nothing_is_sent_twice_for_nothing(run: Run) -> None:
    """On one call a message comes again only if it was refused."""
    for side in sides(run):
        for connection in side.connections:
            sent = [one.mark for one in connection.arrivals]
            for mark in set(sent):
                most = 1 + connection.refused.count(mark)
                found = (
                    f"{side.name}, seq {mark[0]}: {sent.count(mark)} times in {connection.act!r}"
                )
                require(sent.count(mark) <= most, found)


@rule("Acks", SENDER_CHECKS)
async def what_has_ended_is_not_sent_again(run: Run) -> None:
    """What attached says has ended is not sent on that call."""
    for side in sides(run):
        for connection in side.connections:
            again = sorted(marks(connection) & connection.ended_before)
            require(not again, f"{side.name}: {again[:5]} in {connection.act!r} had ended")


@rule("Acks", SENDER_CHECKS)
async def what_has_not_ended_is_sent_again(run: Run) -> None:
    """Everything that was sent and not acked comes again until it is acked."""
    for side in sides(run):
        everything = {one.mark for _, one in side.arrivals}
        lost = sorted(everything - side.ended)
        require(not lost, f"{side.name}: {lost[:5]} never ended")


@rule("Acks", SENDER_CHECKS)
async def a_damaged_ack_says_nothing(run: Run) -> None:
    """After an ack with a wrong checksum the sender connects again and sends what only that ack named."""
    for side in sides(run):
        connection = in_act(side, "damage")
        require(connection.claimed, f"{side.name}: fewer than three messages came")
        index = side.connections.index(connection)
        later = set[Mark]().union(*map(marks, side.connections[index + 1 :]))
        # One of them has ended by the next attached.
        unsent = connection.claimed - later - in_act(side, "resume").ended_before
        require(not unsent, f"{side.name}: {sorted(unsent)} were taken for ended")


@rule("Sessions and epochs", SENDER_CHECKS)
async def it_closes_each_channel(run: Run) -> None:
    """When everything has ended it closes the session on that channel."""
    for side in sides(run):
        final = side.connections[-1].session
        assert final is not None
        closed = {one.session_id for one in side.closings}
        require(final.session_id in closed, f"{side.name}: no CloseSession of its session")


@rule("Acks", SENDER_CHECKS)
async def it_ends_when_all_is_acked(run: Run) -> None:
    """The command exits with 0 once everything has ended."""
    require(run.exit_code is not None, f"it had to be stopped: {run.last_words}")
    require(run.exit_code == 0, f"exit code {run.exit_code}: {run.last_words}")
