"""Joiner and session, driven by hypothesis in every order that it can think of.

The machine plays senders, decoders, the ledger, the clock and crashes. Two receivers run side by
side and see the same events, but captions that say different things: they must act alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from receiver.flow import Account
from receiver.joiner import Decode, Joiner, JoinPolicy, Settle
from receiver.pipeline import ends_of
from receiver.session import Compare, Found, LookUp, Session, Step
from receiver.work import Caption, DecodeFailure, DecodeResult, End, Frame, Key
from shared.wire.errors import Reason, WireError
from shared.wire.limits import Limits, Window
from shared.wire.positions import Positions
from shared.wire.v1 import types_pb2 as wire

LIMITS = Limits(image_window=Window(6, 600), caption_window=Window(6, 60), seq_window=64)
SEQS = st.integers(0, 9)
REVISIONS = st.integers(1, 3)
CONTENT = {seq: bytes([seq]) * 16 for seq in range(10)}
TEXTS = ("red fox", "two men")


def frame(seq: int, *, expects: bool = True, size: int = 10) -> Frame:
    return Frame(Key("s", 1, seq), CONTENT[seq], f"p{seq}", b"c" * size, expects)


def caption(seq: int, revision: int, text: str | None, expires_at: float = 1e9) -> Caption:
    return Caption(Key("s", 1, seq), CONTENT[seq], revision, text, "", expires_at)


def session(policy: JoinPolicy, images: Positions, captions: Positions) -> Session:
    accounts = (Account(Window(100, 10_000)), Account(Window(100, 10_000)))
    made = Session("s", 1, "id", "sender", policy, LIMITS, accounts)
    made.images.positions, made.captions.positions = images, captions
    made.images.attach()
    made.captions.attach()
    return made


@dataclass
class Receiver:
    """A session with everything around it: what is under way, and what is durable."""

    policy: JoinPolicy
    text: str
    session: Session = field(init=False)
    decoding: list[Decode] = field(default_factory=list)
    asking: list[LookUp] = field(default_factory=list)
    ending: list[End] = field(default_factory=list)
    durable: dict[tuple[int, int], End] = field(default_factory=dict)
    images: Positions = field(default_factory=Positions)
    captions: Positions = field(default_factory=Positions)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A crash: only what is durable is left."""
        self.decoding, self.asking, self.ending = [], [], []
        self.session = session(self.policy, self.images.copy(), self.captions.copy())

    def perform(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, Decode):
                self.decoding.append(step)
            elif isinstance(step, Settle):
                self.ending.append(step.end)
            elif isinstance(step, LookUp):
                self.asking.append(step)
            elif isinstance(step, Compare):
                self.session.compared(step.key)

    def commit(self) -> None:
        ends, self.ending = self.ending, []
        images, captions = self.session.positions_after(ends)
        for end in ends:
            mark = (end.key.seq, end.revision)
            assert mark not in self.durable
            self.durable[mark] = end
        self.images, self.captions = images.copy(), captions.copy()
        self.perform(self.session.committed(ends, images, captions))

    def answer(self, index: int) -> None:
        step = self.asking.pop(index % len(self.asking))
        seq = step.caption.key.seq
        ends = [end for (other, _), end in self.durable.items() if other == seq]
        first = next((end for end in ends if end.frame_ended), None)
        kept = first.frame if first is not None and first.picture_made else None
        found = Found(
            caption_ended=(seq, step.caption.revision) in self.durable,
            newest=max((end.revision for end in ends), default=0),
            frame_ended=first is not None,
            kept=kept,
        )
        self.perform(self.session.looked_up(step.caption, found))

    def shape(self) -> object:
        """Everything that may be seen from outside, without what captions say."""
        return (
            [(one.task.frame.key.seq, one.task.revision, one.first) for one in self.decoding],
            [(one.key.seq, one.revision, one.disposition) for one in self.ending],
            [(mark, end.disposition) for mark, end in self.durable.items()],
            self.session.images.granted(),
            self.session.captions.granted(),
        )


class Joining(RuleBasedStateMachine):
    policy = JoinPolicy(caption_wait=2.0)
    sent = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pair = [Receiver(self.policy, text) for text in TEXTS]
        self.offered_frames: set[int] = set()
        self.offered_captions: set[tuple[int, int]] = set()

    @rule(seq=SEQS, expects=st.booleans())
    def send_frame(self, seq: int, expects: bool) -> None:
        for one in self.pair:
            try:
                one.session.images.take(10)
                one.perform(one.session.frame(frame(seq, expects=expects), self.now))
                self.offered_frames.add(seq)
            except WireError as error:
                assert error.reason is Reason.OVER_CREDIT

    @rule(seq=SEQS)
    def skip_frame(self, seq: int) -> None:
        for one in self.pair:
            try:
                one.session.images.take(0)
                empty = replace(frame(seq), container=b"")
                one.perform(one.session.skip(empty, "no picture"))
                self.offered_frames.add(seq)
            except WireError as error:
                assert error.reason is Reason.OVER_CREDIT

    @rule(seq=SEQS, revision=REVISIONS, words=st.booleans(), ttl=st.sampled_from([3.0, 1e9]))
    def send_caption(self, seq: int, revision: int, words: bool, ttl: float) -> None:
        for one in self.pair:
            sent = caption(seq, revision, one.text if words else None, self.now + ttl)
            try:
                one.session.captions.take(sent.held_bytes)
                one.perform(one.session.caption(sent))
                self.offered_captions.add((seq, revision))
            except WireError as error:
                assert error.reason is Reason.OVER_CREDIT

    @precondition(lambda self: self.pair[0].decoding)
    @rule(index=st.integers(0, 99), works=st.booleans())
    def decode(self, index: int, works: bool) -> None:
        for one in self.pair:
            step = one.decoding.pop(index % len(one.decoding))
            result = DecodeResult(b"png", "image/png") if works else DecodeFailure("bad symbols")
            one.ending += ends_of(step, result)

    @rule()
    def commit(self) -> None:
        for one in self.pair:
            one.commit()

    @precondition(lambda self: self.pair[0].asking)
    @rule(index=st.integers(0, 99))
    def answer(self, index: int) -> None:
        for one in self.pair:
            one.answer(index)

    @rule(seconds=st.sampled_from([0.5, 2.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for one in self.pair:
            one.perform(one.session.joiner.poll(self.now))

    @rule()
    def crash(self) -> None:
        for one in self.pair:
            one.restart()

    @invariant()
    def captions_content_changes_nothing(self) -> None:
        assert self.pair[0].shape() == self.pair[1].shape()

    @invariant()
    def no_ack_before_commit(self) -> None:
        for one in self.pair:
            flow = one.session.images
            named = {(end.seq, end.revision) for end in flow.outcomes}
            duplicates = {
                end.seq for end in flow.outcomes if end.disposition == wire.DISPOSITION_DUPLICATE
            }
            assert all(mark in one.durable or mark[0] in duplicates for mark in named)
            for start, stop in flow.positions.spans():
                ended = {seq for (seq, _), end in one.durable.items() if end.frame_ended}
                assert ended >= set(range(start, stop))

    @invariant()
    def credit_is_never_negative(self) -> None:
        for one in self.pair:
            for flow in (one.session.images, one.session.captions):
                frames, size = flow.granted()
                assert 0 <= flow.held <= LIMITS.image_window.frames
                assert flow.held_bytes >= 0
                assert frames >= flow.received >= 0
                assert size >= flow.received_bytes

    @invariant()
    def one_first_end_a_frame(self) -> None:
        for one in self.pair:
            firsts = [seq for (seq, _), end in one.durable.items() if end.frame_ended]
            assert len(firsts) == len(set(firsts))

    def teardown(self) -> None:
        """Let everything finish: what is held must end, and nothing may be left over."""
        for one in self.pair:
            self.now = 1e10
            for _ in range(50):
                one.perform(one.session.joiner.poll(self.now))
                while one.asking:
                    one.answer(0)
                one.ending += [
                    end
                    for step in one.decoding
                    for end in ends_of(step, DecodeResult(b"png", "image/png"))
                ]
                one.decoding = []
                one.commit()
            assert one.session.idle
            assert one.session.joiner._slots == {}
            assert one.session.images.account.held == 0


class Refining(Joining):
    policy = JoinPolicy(refine=True)


class Beside(Joining):
    """No decoder reads words."""

    policy = JoinPolicy(caption_wait=2.0, reads=lambda _: False)

    @invariant()
    def no_picture_is_made_with_words(self) -> None:
        for one in self.pair:
            assert all(step.task.caption is None for step in one.decoding)
            assert all(end.revision == 0 for end in one.durable.values() if end.picture_made)

    @invariant()
    def words_stand_beside_a_picture_that_is_there(self) -> None:
        for one in self.pair:
            for (seq, _), end in one.durable.items():
                if end.words_beside:
                    assert one.durable[seq, 0].picture_made


TestJoining = Joining.TestCase
TestRefining = Refining.TestCase
TestBeside = Beside.TestCase
TestJoining.settings = settings(max_examples=300, stateful_step_count=60)
TestRefining.settings = settings(max_examples=150, stateful_step_count=60)
TestBeside.settings = settings(max_examples=150, stateful_step_count=60)


def decodes(steps: Sequence[Step]) -> list[tuple[int, str | None, bool]]:
    return [
        (one.task.frame.key.seq, one.task.caption.text if one.task.caption else None, one.first)
        for one in steps
        if isinstance(one, Decode)
    ]


def test_a_caption_in_time_is_used_at_once() -> None:
    joiner = Joiner(JoinPolicy(caption_wait=2.0))
    assert decodes(joiner.add_frame(frame(0), 0.0)) == []
    assert decodes(joiner.add_caption(caption(0, 1, "fox"))) == [(0, "fox", True)]


def test_a_late_caption_never_holds_a_picture_longer_than_the_wait() -> None:
    joiner = Joiner(JoinPolicy(caption_wait=2.0))
    joiner.add_frame(frame(0), 10.0)
    assert joiner.next_deadline() == 12.0
    assert decodes(joiner.poll(11.9)) == []
    assert decodes(joiner.poll(12.0)) == [(0, None, True)]


def test_refining_shows_the_picture_first_and_refines_it_after() -> None:
    joiner = Joiner(JoinPolicy(refine=True))
    joiner.add_caption(caption(0, 1, "fox"))
    assert decodes(joiner.add_frame(frame(0), 0.0)) == [(0, None, True)]
    assert decodes(joiner.committed(0, decoded=True)) == [(0, "fox", False)]


def test_words_that_are_not_read_delay_no_picture_and_follow_it() -> None:
    joiner = Joiner(JoinPolicy(caption_wait=2.0, reads=lambda _: False))
    assert decodes(joiner.add_frame(frame(0), 0.0)) == [(0, None, True)]
    assert joiner.add_caption(caption(0, 1, "fox")) == []
    beside = joiner.committed(0, decoded=True)
    late = joiner.add_late(frame(0), caption(0, 2, "red fox"))
    for (step,), revision in ((beside, 1), (late, 2)):
        assert isinstance(step, Settle)
        assert step.end.words_beside
        assert (step.end.revision, step.end.disposition) == (revision, wire.DISPOSITION_NOTED)
        assert not step.end.frame_ended
    assert 0 not in joiner


def test_a_generator_that_reads_words_may_come_while_a_picture_is_decoded() -> None:
    reads = False
    joiner = Joiner(JoinPolicy(caption_wait=2.0, reads=lambda _: reads))
    joiner.add_caption(caption(0, 1, "fox"))
    assert decodes(joiner.add_frame(frame(0), 0.0)) == [(0, None, True)]
    reads = True
    assert decodes(joiner.committed(0, decoded=True)) == [(0, "fox", False)]


def test_a_tombstone_ends_the_wait() -> None:
    joiner = Joiner(JoinPolicy(caption_wait=2.0))
    joiner.add_frame(frame(0), 0.0)
    steps = joiner.add_caption(caption(0, 1, None))
    assert decodes(steps) == [(0, None, True)]
    assert [one.end.disposition for one in steps if isinstance(one, Settle)] == [
        wire.DISPOSITION_NOTED
    ]


def test_a_caption_of_another_picture_is_refused_and_the_picture_goes_on() -> None:
    joiner = Joiner(JoinPolicy(caption_wait=2.0))
    joiner.add_frame(frame(0), 0.0)
    (step,) = joiner.add_caption(replace(caption(0, 1, "fox"), content_id=b"x" * 16))
    assert isinstance(step, Settle)
    assert step.end.disposition == wire.DISPOSITION_REJECTED
    assert decodes(joiner.poll(2.0)) == [(0, None, True)]


def test_the_newest_revision_wins_while_the_picture_is_decoded() -> None:
    joiner = Joiner(JoinPolicy(caption_wait=0.0))
    joiner.add_frame(frame(0, expects=False), 0.0)
    assert joiner.add_caption(caption(0, 1, "fox")) == []
    (step,) = joiner.add_caption(caption(0, 2, "red fox"))
    assert isinstance(step, Settle)
    assert step.end.disposition == wire.DISPOSITION_SUPERSEDED
    assert decodes(joiner.committed(0, decoded=True)) == [(0, "red fox", False)]


def test_timers_of_captions_that_are_gone_take_no_memory() -> None:
    joiner = Joiner(JoinPolicy(caption_wait=600.0))
    for turn in range(2000):
        key = Key("s", 1, turn)
        joiner.add_caption(Caption(key, b"", 1, "fox", "", expires_at=600.0 + turn))
        joiner.add_frame(Frame(key, b"", "p", b"c", True), 0.0)
        joiner.committed(turn, decoded=True)
    assert len(joiner._timers) < 200


def test_a_key_with_other_content_is_refused_while_held() -> None:
    one = session(JoinPolicy(), Positions(), Positions())
    one.frame(frame(0), 0.0)
    with pytest.raises(WireError) as caught:
        one.frame(replace(frame(0), content_id=b"x" * 16), 0.0)
    assert caught.value.reason is Reason.CONTENT_CHANGED


def test_a_number_far_ahead_is_refused_with_the_limit() -> None:
    one = session(JoinPolicy(), Positions(), Positions())
    far = Frame(Key("s", 1, 64), b"", "p", b"c", True)
    with pytest.raises(WireError, match="seq is 64, must be below 64"):
        one.frame(far, 0.0)
