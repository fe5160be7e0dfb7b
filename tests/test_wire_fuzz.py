"""Every message, random, extreme and mutated: each has its answer, and the stream goes on.

One receiver takes it all, on streams that are never begun anew: what a bad message breaks stays broken.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from receiver.joiner import JoinPolicy
from shared.wire.checksums import caption_crc, frame_crc, skip_crc
from shared.wire.errors import Reason, WireError
from shared.wire.v1 import caption_channel_pb2 as captions
from shared.wire.v1 import control_pb2
from shared.wire.v1 import image_channel_pb2 as images
from shared.wire.v1 import types_pb2 as wire
from tests.conformance.peer import Peer
from tests.conformance.talk import Talk
from tests.mutations import drawn, mutate
from tests.wire_client import (
    CAPTIONS,
    CODEC,
    DECODED,
    IMAGES,
    PATIENCE,
    SMALL,
    Local,
    good,
    receiving,
)

T = TypeVar("T")
QUICK = settings(
    max_examples=100,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MUTATIONS = 1000
#: What may be wrong with one message; none of it ends a stream.
OF_ONE_MESSAGE = {
    Reason.MALFORMED, Reason.TOO_LARGE, Reason.SEQ_TOO_FAR, Reason.CHECKSUM,
    Reason.MODEL_UNKNOWN, Reason.CONTENT_CHANGED, Reason.OVER_CREDIT,
}  # fmt: skip
OF_A_SESSION = {
    Reason.MALFORMED, Reason.SESSION_UNKNOWN, Reason.MODEL_UNKNOWN, Reason.STALE_EPOCH,
    Reason.OVER_QUOTA,
}  # fmt: skip


@dataclass
class Fuzzed:
    """A receiver under fuzz, and a good client of it on each channel of one stream."""

    runner: asyncio.Runner
    local: Local
    peer: Peer
    images: Talk
    words: Talk
    #: This round's number, for the bad message; the one after it is for a good one.
    seq: int = -2
    #: Number and revision of words that were sent.
    told: set[tuple[int, int]] = field(default_factory=set)

    def run(self, work: Awaitable[T]) -> T:
        """A round of its own: let it happen."""
        self.seq += 2
        for talk in (self.images, self.words):
            talk.refusals.clear()
            talk.outcomes.clear()

        async def within() -> T:
            async with asyncio.timeout(PATIENCE):
                return await work

        return self.runner.run(within())

    async def round(self, channel: Any) -> tuple[list[WireError], list[wire.Outcome]]:
        """Send a good picture with good words; what a channel's messages before it have led to."""
        talk = self.images if channel == IMAGES else self.words
        seq = self.seq + 1
        words = self.words.caption(seq, "two people", revision=2**31 - 1)
        picture = self.images.frame(seq, good(seq), expects_caption=True)
        await self.words.send(caption=words)
        await self.images.send(frame=picture)
        end = await self.images.end_of(seq)
        assert end.disposition == wire.DISPOSITION_DECODED_WITH_TEXT
        await self.words.end_of(seq, revision=2**31 - 1)
        refusals = [error for _, error in talk.refusals]
        assert {error.reason for error in refusals} <= OF_ONE_MESSAGE
        outcomes = [one for one in talk.outcomes if one.seq != seq]
        if self.seq not in self.images.positions:  # the window moves on
            await self.images.send(skip=self.images.skip(self.seq))
            await self.images.until(lambda: self.seq in self.images.positions)
        return refusals, outcomes


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with asyncio.Runner() as runner:
        terms = {"caption_ttl": 0.2, "policy": JoinPolicy(caption_wait=10.0)}
        context = receiving(tmp_path_factory.mktemp("fuzz"), **terms)
        local = runner.run(context.__aenter__())
        peer = runner.run(local.peer())
        yield Fuzzed(runner, local, peer, *runner.run(local.both(peer)))
        runner.run(local.serves())
        for session in local.registry:
            if session.sender == "anonymous":
                flows = (session.images, session.captions)
                assert all(flow.held_bytes <= flow.window.bytes for flow in flows)
        runner.run(context.__aexit__(None, None, None))


# Strategies: small values, and those at the edges of every type and limit

EDGES_64 = st.sampled_from([0, 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
EDGES_32 = st.sampled_from([0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1])
SECONDS = st.sampled_from([0, 1, -1, 2**62, -(2**62), 2**63 - 1, -(2**63)])
NANOS = st.sampled_from([0, 1, -1, 999_999_999, 10**9, 2**31 - 1, -(2**31)])
TTLS = st.none() | st.builds(Duration, seconds=SECONDS, nanos=NANOS)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["", "\0", "a\0b", "\U0001f99c", "\U0010ffff" * 32, "\ufeff", "../../etc"]),
    st.integers(0, 300).map(lambda count: "\U0001f99c" * count),
    st.sampled_from([129, 1 << 10, (1 << 10) + 1, 2000]).map(lambda count: "x" * count),
)
IDS = st.sampled_from([0, 1, 15, 16, 17, 1000]).map(bytes) | st.binary(max_size=20)
CONTAINERS = st.one_of(
    st.binary(max_size=100),
    st.integers(0, 100).map(good),
    st.integers(0, 2**32).map(lambda seed: mutate(good(0), drawn(random.Random(seed)))),
)
#: A number of this round, or an extreme one.
SEQS = st.just(None) | EDGES_64
WRONG = st.sampled_from([0, 0, 0, 1, 1 << 31])

frames = st.builds(
    images.ImageFrame,
    content_id=IDS,
    name=TEXTS,
    expects_caption=st.booleans(),
    ttl=TTLS,
    container=CONTAINERS,
)
skips = st.builds(images.SkippedFrame, content_id=IDS, name=TEXTS, reason=TEXTS)
words = st.one_of(
    st.builds(captions.Caption, content_id=IDS, revision=EDGES_32, text=TEXTS, language=TEXTS, ttl=TTLS),
    st.builds(
        captions.Caption,
        content_id=IDS,
        revision=EDGES_32,
        tombstone=st.just(captions.Tombstone()),
        language=TEXTS,
        ttl=TTLS,
    ),
    st.builds(captions.Caption, revision=EDGES_32, ttl=TTLS),
)  # fmt: skip


@QUICK
@given(st.sampled_from([IMAGES, CAPTIONS]), st.binary(max_size=300))
def test_random_bytes(fuzzed: Fuzzed, channel: Any, raw: bytes) -> None:
    async def run() -> None:
        await (fuzzed.images if channel == IMAGES else fuzzed.words).send_raw(raw)
        refusals, outcomes = await fuzzed.round(channel)
        assert len(refusals) == 1
        assert not outcomes

    fuzzed.run(run())


@QUICK
@given(frames | skips, SEQS, WRONG)
def test_every_field_of_a_picture(
    fuzzed: Fuzzed, message: Any, seq: int | None, wrong: int
) -> None:
    """It is refused, or ends, or both (refused for ever); a wrong checksum is all that is looked at."""

    async def run() -> None:
        message.seq = fuzzed.seq if seq is None else seq
        kind = "frame" if isinstance(message, images.ImageFrame) else "skip"
        crc = frame_crc if kind == "frame" else skip_crc
        message.crc32c = crc(fuzzed.peer.stream_id, 1, message) ^ wrong
        raw = images.StreamImagesRequest(**{kind: message}).SerializeToString()
        ended_before = message.seq in fuzzed.images.positions
        tombstone = fuzzed.words.caption(fuzzed.seq, None)
        fuzzed.told.add((tombstone.seq, tombstone.revision))
        await fuzzed.words.send(caption=tombstone)
        await fuzzed.images.send_raw(raw)
        await fuzzed.images.until(lambda: fuzzed.images.refusals or fuzzed.images.outcomes)
        refusals, outcomes = await fuzzed.round(IMAGES)
        if wrong:
            assert [error.reason for error in refusals] == [Reason.CHECKSUM]
            assert not outcomes
        elif message.seq == fuzzed.seq:
            assert len(outcomes) == 1
            if outcomes[0].disposition in DECODED:
                assert kind == "frame"
                assert not refusals
        elif not ended_before:
            assert not outcomes
            assert refusals
        assert refusals or outcomes

    fuzzed.run(run())


@QUICK
@given(words, SEQS, WRONG)
def test_every_field_of_a_caption(
    fuzzed: Fuzzed, message: Any, seq: int | None, wrong: int
) -> None:
    """It is refused, or ends, or both; one whose picture never comes ends when its time is over."""

    async def run() -> None:
        message.seq = fuzzed.seq if seq is None else seq
        message.crc32c = caption_crc(fuzzed.peer.stream_id, 1, message) ^ wrong
        raw = captions.StreamCaptionsRequest(caption=message).SerializeToString()
        talk, own = fuzzed.words, (message.seq, message.revision)

        def outcomes() -> list[wire.Outcome]:
            """Outcomes but for those of an earlier round's words, which were refused there and end now."""
            keys = fuzzed.told - {own}
            return [one for one in talk.outcomes if (one.seq, one.revision) not in keys]

        await talk.send_raw(raw)
        await talk.until(lambda: outcomes() or talk.refusals)
        if wrong:
            assert [error.reason for _, error in talk.refusals] == [Reason.CHECKSUM]
            assert not outcomes()
        for one in outcomes():
            assert (one.seq, one.revision) == own
            assert one.disposition not in DECODED
        fuzzed.told.add(own)
        await fuzzed.round(CAPTIONS)

    fuzzed.run(run())


def real_requests(talk: Talk, channel: Any, seq: int) -> list[bytes]:
    """Good messages of one round."""
    if channel == IMAGES:
        messages = [
            images.StreamImagesRequest(frame=talk.frame(seq, good(seq), expects_caption=True)),
            images.StreamImagesRequest(frame=talk.frame(seq, good(seq), ttl=Duration(seconds=9))),
            images.StreamImagesRequest(skip=talk.skip(seq)),
        ]
    else:
        messages = [
            captions.StreamCaptionsRequest(caption=talk.caption(seq, "Zwei \U0001f99c im Baum")),
            captions.StreamCaptionsRequest(caption=talk.caption(seq, None, content_id=bytes(16))),
        ]
    attach = wire.Attach(session_id=talk.session.session_id, epoch=1)
    return [one.SerializeToString() for one in messages] + [
        type(messages[0])(attach=attach).SerializeToString()
    ]


def is_sealed(channel: Any, raw: bytes, stream_id: str) -> bool:
    """Whether damage left a message that its checksum fits (in a field that nobody knows, say)."""
    try:
        if channel == CAPTIONS:
            caption = captions.StreamCaptionsRequest.FromString(raw).caption
            return caption.crc32c == caption_crc(stream_id, 1, caption)
        request = images.StreamImagesRequest.FromString(raw)
    except DecodeError:
        return False
    if request.WhichOneof("message") == "skip":
        return request.skip.crc32c == skip_crc(stream_id, 1, request.skip)
    return request.frame.crc32c == frame_crc(stream_id, 1, request.frame)


@pytest.mark.parametrize("channel", [IMAGES, CAPTIONS])
def test_mutated_messages_are_never_believed(fuzzed: Fuzzed, channel: Any) -> None:
    """Whatever no longer fits its checksum is refused, and leads to nothing."""
    random_ = random.Random(int(channel))

    async def run() -> None:
        talk = fuzzed.images if channel == IMAGES else fuzzed.words
        sent = 0
        while sent < 50:
            request = random_.choice(real_requests(talk, channel, fuzzed.seq))
            raw = mutate(request, drawn(random_))
            if not is_sealed(channel, raw, fuzzed.peer.stream_id):
                await talk.send_raw(raw)
                sent += 1
        refusals, outcomes = await fuzzed.round(channel)
        assert len(refusals) == sent
        assert {error.reason for error in refusals} <= {Reason.CHECKSUM, Reason.MALFORMED}
        assert not outcomes

    for _ in range(MUTATIONS // 50):
        fuzzed.run(run())


# Calls

stream_ids = st.text(max_size=70) | st.sampled_from(
    ["a", "b", "x" * 64, "x" * 65, ".", "..", "a/b", "a\0", "\U0001f99c" * 1000, "a" * 4000]
)
codecs = st.builds(
    wire.CodecId,
    name=st.just("base") | TEXTS,
    bitstream_version=EDGES_32,
    model_id=st.just(CODEC.model_id) | IDS,
    text_encoder_id=TEXTS,
)
opens = st.builds(
    control_pb2.OpenSessionRequest,
    stream_id=stream_ids,
    channel=st.integers(-1, 3) | st.sampled_from([2**31 - 1, -(2**31)]),
    epoch=EDGES_32,
    first_seq=EDGES_64,
    resume_session_id=st.just("") | TEXTS,
    codecs=st.lists(codecs, max_size=2),
)


@QUICK
@given(opens)
def test_every_field_of_open_session(fuzzed: Fuzzed, request: Any) -> None:
    async def run() -> None:
        fuzzed.local.call_as("fuzzer")
        try:
            answer = await fuzzed.peer.control("OpenSession", request)
            assert answer.stream_id == request.stream_id
            assert answer.epoch >= max(1, request.epoch)
        except WireError as error:
            assert error.reason in OF_A_SESSION
        finally:
            fuzzed.local.call_as("anonymous")

    fuzzed.run(run())


@QUICK
@given(st.sampled_from(["GetSession", "CloseSession"]), TEXTS, st.integers(-5, 5))
def test_calls_about_sessions_that_are_not(
    fuzzed: Fuzzed, method: str, session_id: str, channel: int
) -> None:
    async def run() -> None:
        request = control_pb2.GetSessionRequest(session_id=session_id)
        if method == "CloseSession":
            request = control_pb2.CloseSessionRequest(session_id=session_id, channel=channel)
        with pytest.raises(WireError) as refused:
            await fuzzed.peer.control(method, request)
        assert refused.value.reason is Reason.SESSION_UNKNOWN

    fuzzed.run(run())


attaches = st.builds(
    wire.Attach, session_id=TEXTS | st.just("this"), epoch=EDGES_32.filter(lambda epoch: epoch != 1)
)


@QUICK
@given(st.sampled_from([IMAGES, CAPTIONS]), st.binary(max_size=100) | attaches.map(lambda one: one))
def test_first_messages(fuzzed: Fuzzed, channel: Any, first: Any) -> None:
    async def run() -> None:
        session = fuzzed.images.session
        async with fuzzed.peer.call(channel, session) as talk:
            if isinstance(first, bytes):
                await talk.send_raw(first)
                expected = {Reason.NOT_ATTACHED}
            else:
                if first.session_id == "this":
                    first.session_id = session.session_id
                await talk.send(attach=first)
                expected = {Reason.SESSION_UNKNOWN, Reason.STALE_EPOCH}
            assert (await talk.silence()).reason in expected

    fuzzed.run(run())


def test_the_limits_are_as_stated(fuzzed: Fuzzed) -> None:
    answer = fuzzed.run(
        fuzzed.peer.control("GetCapabilities", control_pb2.GetCapabilitiesRequest())
    )
    assert answer.limits == SMALL.to_message()
