"""The send window, driven by hypothesis: credit, order, resends, and what acks and refusals end."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sender.window import RESEND_SECONDS, SendWindow
from shared.wire.errors import Reason, Turn, WireError
from shared.wire.positions import Positions
from shared.wire.v1 import types_pb2 as wire

DECODED = wire.DISPOSITION_DECODED_NO_TEXT
UNKNOWN = 1 << 40
AGAIN = [reason for reason in Reason if reason.turn is Turn.RESEND]
NEVER = [reason for reason in Reason if reason.turn is Turn.GIVE_UP]
#: Those after which the receiver says durably that it is over.
ENDED_THERE = [reason for reason in NEVER if reason is not Reason.CONTENT_CHANGED]


@dataclass(frozen=True)
class Parcel:
    seq: int
    size: int


def positions(over: set[int]) -> wire.Positions:
    made = Positions()
    for seq in over:
        made.add(seq)
    return made.to_message()


def attached(over: set[int], frames: int = 1000, size: int = 1 << 20) -> wire.Attached:
    return wire.Attached(positions=positions(over), credit=wire.Credit(frames=frames, bytes=size))


def outcome(seq: int) -> wire.Outcome:
    return wire.Outcome(seq=seq, disposition=DECODED)


class Sending(RuleBasedStateMachine):
    """A window beside a plain account of what it should do.

    ``queue`` is what has not been sent in this connection, in order; ``refused`` is when each refused one
    may go again; ``over`` is what has ended at the receiver, whether the window was told or not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.window: SendWindow[Parcel] = SendWindow()
        self.now = 0.0
        self.unacked: dict[int, Parcel] = {}
        self.queue: list[int] = []
        self.refused: dict[int, float] = {}
        self.sent: set[int] = set()
        self.over: set[int] = set()
        self.failed: list[int] = []
        self.credit = (0, 0)
        self.used = (0, 0)
        self.added = 0
        self.exhausted = False

    def forget(self, seq: int) -> None:
        del self.unacked[seq]
        self.refused.pop(seq, None)
        self.sent.discard(seq)
        if seq in self.queue:
            self.queue.remove(seq)

    def some(self, data: st.DataObject, seqs: list[int]) -> set[int]:
        return data.draw(st.sets(st.sampled_from(seqs))) if seqs else set()

    # The sender

    @precondition(lambda self: not self.exhausted)
    @rule(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=4), backwards=st.booleans())
    def add(self, sizes: list[int], backwards: bool) -> None:
        """New items; captions may come out of order."""
        parcels = [Parcel(self.added + index, size) for index, size in enumerate(sizes)]
        self.added += len(parcels)
        for parcel in reversed(parcels) if backwards else parcels:
            self.window.add(parcel)
            self.unacked[parcel.seq] = parcel
            self.queue.append(parcel.seq)

    @rule()
    def exhaust(self) -> None:
        self.window.exhaust()
        self.exhausted = True

    @rule(seconds=st.sampled_from([0.05, RESEND_SECONDS, 1.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    def fits(self, seq: int) -> bool:
        frames, size = self.used
        return frames < self.credit[0] and size + self.unacked[seq].size <= self.credit[1]

    @rule()
    def send(self) -> None:
        """Refused ones that have waited go first, the others in their order, none over the credit."""
        due = [seq for seq, when in self.refused.items() if when <= self.now]
        first = due or self.queue[:1]
        parcel = self.window.next(self.now)
        if parcel is None:
            assert not first or not all(self.fits(seq) for seq in first)
            return
        seq = parcel.seq
        assert self.unacked[seq] is parcel
        assert seq in first
        assert self.fits(seq)
        assert (seq in self.sent) == (seq in due)
        self.used = (self.used[0] + 1, self.used[1] + parcel.size)
        self.sent.add(seq)
        self.refused.pop(seq, None)
        if seq in self.queue:
            self.queue.remove(seq)

    # The receiver

    @rule(data=st.data(), frames=st.integers(0, 6), size=st.integers(0, 120))
    def attach(self, data: st.DataObject, frames: int, size: int) -> None:
        """A new connection: all that has not ended is ready again, in order."""
        self.over |= self.some(data, list(self.unacked))
        ended = self.window.attached(attached(self.over, frames, size))
        assert {one.item.seq for one in ended} == self.over & set(self.unacked)
        for one in ended:
            assert one.disposition == wire.DISPOSITION_UNSPECIFIED
            self.forget(one.item.seq)
        self.credit, self.used = (frames, size), (0, 0)
        self.sent.clear()
        self.refused.clear()
        self.queue = sorted(self.unacked)

    @rule(frames=st.integers(0, 4), size=st.integers(0, 80))
    def grant(self, frames: int, size: int) -> None:
        self.credit = (self.credit[0] + frames, self.credit[1] + size)
        self.window.credit(wire.Credit(frames=self.credit[0], bytes=self.credit[1]))

    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        """Outcomes end what they name; positions end the oldest, as far as they reach."""
        ending = self.some(data, list(self.unacked))
        named = self.some(data, sorted(ending))
        self.over |= ending
        outcomes = [outcome(seq) for seq in [*sorted(named), UNKNOWN, *self.failed]]
        ended = self.window.ack(wire.Ack(positions=positions(self.over), outcomes=outcomes))
        expected = [(seq, DECODED) for seq in sorted(named)]
        for seq in named:
            self.forget(seq)
        for seq in list(self.unacked):
            if seq not in self.over:
                break
            expected.append((seq, wire.DISPOSITION_UNSPECIFIED))
            self.forget(seq)
        assert [(one.item.seq, one.disposition) for one in ended] == expected

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), reason=st.sampled_from(AGAIN))
    def refuse_for_now(self, data: st.DataObject, reason: Reason) -> None:
        waiting = sorted(self.sent - set(self.refused))
        if waiting:
            seq = data.draw(st.sampled_from(waiting))
            assert self.window.refusal(seq, WireError(reason, "not now"), self.now) is None
            self.refused[seq] = self.now + RESEND_SECONDS

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), reason=st.sampled_from(ENDED_THERE))
    def refuse_for_good(self, data: st.DataObject, reason: Reason) -> None:
        """It is not sent again on this connection, and kept until an ack says that this is durable."""
        seq = data.draw(st.sampled_from(sorted(self.sent)))
        assert self.window.refusal(seq, WireError(reason, "never"), self.now) is None

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def refuse_the_number(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.sent)))
        parcel = self.unacked[seq]
        taken = WireError(Reason.CONTENT_CHANGED, "taken")
        assert self.window.refusal(seq, taken, self.now) is parcel
        self.forget(seq)
        self.failed.append(seq)

    @rule(reason=st.sampled_from(AGAIN + NEVER))
    def refuse_what_is_unknown(self, reason: Reason) -> None:
        again = self.window.retry_at()
        assert self.window.refusal(UNKNOWN, WireError(reason, "who"), self.now) is None
        assert self.window.retry_at() == again

    # Always

    @invariant()
    def counts_are_right(self) -> None:
        assert len(self.window) == len(self.unacked)
        assert self.window.bytes == sum(parcel.size for parcel in self.unacked.values())
        assert [item.seq for item, _ in self.window.failures] == self.failed
        assert self.window.finished == (self.exhausted and not self.unacked)

    @invariant()
    def it_wakes_for_the_first_refused_one(self) -> None:
        if self.refused:
            again = self.window.retry_at()
            assert min(self.refused.values()) <= self.now or again is not None
            assert again is None or again <= max(self.refused.values())

    def teardown(self) -> None:
        """A connection with credit enough sends each of the rest once, in order; acks end them all."""
        self.window.attached(attached(self.over))
        left = sorted(set(self.unacked) - self.over)
        sent = []
        while (parcel := self.window.next(self.now)) is not None:
            sent.append(parcel.seq)
        assert sent == left
        self.window.exhaust()
        self.window.ack(wire.Ack(positions=positions(set(range(self.added)))))
        assert self.window.finished
        assert self.window.bytes == 0


TestSending = Sending.TestCase
TestSending.settings = settings(max_examples=200, stateful_step_count=50)


def window_of(*sizes: int) -> SendWindow[Parcel]:
    window: SendWindow[Parcel] = SendWindow()
    for seq, size in enumerate(sizes):
        window.add(Parcel(seq, size))
    return window


def sent_now(window: SendWindow[Parcel], now: float = 0.0) -> list[int]:
    sent = []
    while (parcel := window.next(now)) is not None:
        sent.append(parcel.seq)
    return sent


def test_nothing_is_sent_before_the_first_credit() -> None:
    assert sent_now(window_of(10, 10)) == []


def test_credit_counts_messages_and_bytes_from_the_attach_on() -> None:
    window = window_of(10, 10, 10, 10)
    window.attached(attached(set(), frames=3, size=25))
    assert sent_now(window) == [0, 1]
    window.credit(wire.Credit(frames=3, bytes=1000))
    assert sent_now(window) == [2]
    window.attached(attached({0}, frames=2, size=1000))
    assert sent_now(window) == [1, 2]


def test_a_refused_item_waits_and_goes_before_the_others() -> None:
    window = window_of(1, 1, 1)
    window.attached(attached(set(), frames=1))
    assert sent_now(window) == [0]
    window.refusal(0, WireError(Reason.CHECKSUM, "differs"), now=5.0)
    window.credit(wire.Credit(frames=2, bytes=100))
    assert window.retry_at() == 5.0 + RESEND_SECONDS
    assert sent_now(window, 5.0 + RESEND_SECONDS * 0.9) == [1]
    window.credit(wire.Credit(frames=4, bytes=100))
    assert sent_now(window, 5.0 + RESEND_SECONDS) == [0, 2]
    assert window.retry_at() is None


def test_an_item_that_ended_while_it_waited_is_not_sent_again() -> None:
    window = window_of(1)
    window.attached(attached(set()))
    assert sent_now(window) == [0]
    window.refusal(0, WireError(Reason.OVER_CREDIT, "too much"), now=0.0)
    window.ack(wire.Ack(outcomes=[outcome(0)]))
    assert sent_now(window, 1.0) == []


def test_a_new_connection_forgets_the_refusals_of_the_one_before() -> None:
    window = window_of(1, 1)
    window.attached(attached(set()))
    assert sent_now(window) == [0, 1]
    window.refusal(0, WireError(Reason.CHECKSUM, "differs"), now=0.0)
    window.attached(attached(set()))
    assert sent_now(window, 0.0) == [0, 1]
    assert sent_now(window, 1.0) == []


def test_positions_alone_end_items() -> None:
    window = window_of(1, 2, 3)
    window.attached(attached(set()))
    ended = window.ack(wire.Ack(positions=positions({0, 1})))
    assert [one.item.seq for one in ended] == [0, 1]
    assert window.bytes == 3
    # What only a position beyond a gap names is told once the gap has ended, or at the next attach.
    assert window.ack(wire.Ack(positions=positions({0, 1}))) == []


@pytest.mark.parametrize("reason", ENDED_THERE)
def test_what_is_given_up_is_kept_until_an_ack_says_that_it_has_ended(reason: Reason) -> None:
    window = window_of(1, 1)
    window.attached(attached(set()))
    assert sent_now(window) == [0, 1]
    assert window.refusal(0, WireError(reason, "why"), now=0.0) is None
    assert sent_now(window) == []
    (ended,) = window.ack(wire.Ack(outcomes=[outcome(0)]))
    assert ended.item == Parcel(0, 1)
    assert window.failures == []


def test_a_number_that_is_taken_is_a_failure_with_its_error() -> None:
    window = window_of(1, 1)
    window.attached(attached(set()))
    error = WireError(Reason.CONTENT_CHANGED, "why")
    assert window.refusal(0, error, now=0.0) == Parcel(0, 1)
    assert window.failures == [(Parcel(0, 1), error)]
    assert sent_now(window) == [1]
    window.attached(attached(set()))
    assert sent_now(window) == [1]
