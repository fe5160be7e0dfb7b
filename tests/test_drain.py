"""Invariant: what is stopped in order says what is left and finishes it at its next start; and two that
claim the same place cannot both have it."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.benchmarks.effects import Verdict, as_sent, folder_deliveries, judge
from cluster.benchmarks.processes import Ends, Program, result
from cluster.benchmarks.wire import write_feed
from tests.processes import until, until_delivered

FRAMES, PAYLOAD_BYTES = 120, 600
#: Some way into a run that this rate makes six seconds long, also where the machine is busy.
SOME = 20
SLOWLY = ("--rate", 20)
DONE, REFUSED, WORK_LEFT = 0, 1, 4


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("feeds") / "numbered.parquet"
    write_feed(path, FRAMES, PAYLOAD_BYTES)
    return path


@pytest.fixture
def ends(tmp_path: Path, feed: Path) -> Iterator[Ends]:
    with Ends(tmp_path, feed) as both:
        yield both


def stop(program: Program) -> int:
    """SIGTERM; its exit code."""
    program.signal(signal.SIGTERM)
    return program.wait()


def verdict(ends: Ends, epoch: int = 1) -> Verdict:
    right = as_sent(PAYLOAD_BYTES)
    return judge(folder_deliveries(ends.sink), ends.ledger, FRAMES, right, epoch)


def held(ends: Ends) -> int:
    """Pictures in the receiver's memory."""
    sessions = result(("status", "--images", ends.images))["sessions"]
    return sum(one["images"]["held"] for one in sessions)


# Stopped in order


def test_a_stopped_sender_goes_on_where_it_was(ends: Ends) -> None:
    receiver = ends.start_receiver()
    sender = ends.start_sender(*SLOWLY, captions=True)
    until_delivered(ends.sink, SOME)
    assert stop(sender) == WORK_LEFT
    assert "frames are in the journal and will be sent again" in ends.said("send")
    assert "Traceback" not in ends.said("send")

    again = ends.start_sender(captions=True)
    assert again.wait() == DONE, ends.said("send")
    assert again.line()["epoch"] == 1
    assert stop(receiver) == DONE
    assert (verdict(ends).flaws, verdict(ends).wordless) == ({}, [])


def test_a_stopped_receiver_finishes_what_it_holds(ends: Ends) -> None:
    receiver = ends.start_receiver()
    sender = ends.start_sender(*SLOWLY, captions=True)
    until_delivered(ends.sink, SOME)
    assert stop(receiver) == DONE
    assert "drained: 0 pictures" in ends.said("receive")
    assert verdict(ends).lost  # it was in mid-run

    receiver = ends.start_receiver()
    assert sender.wait() == DONE, ends.said("send")
    assert stop(receiver) == DONE
    assert (verdict(ends).flaws, verdict(ends).wordless) == ({}, [])


def test_a_receiver_that_must_stop_early_leaves_its_work_to_the_sender(ends: Ends) -> None:
    receiver = ends.start_receiver(
        *("--caption-wait", 1000, "--set", "drain_seconds=0", "--set", "image_window_frames=10")
    )
    receiver.line()
    sender = ends.start_sender("--set", "expect_captions=true")
    until(lambda: held(ends) == 10, "ten wait for captions that nobody sends")
    assert stop(receiver) == WORK_LEFT
    assert "10 pictures and 0 captions were held; their senders have them" in ends.said("receive")

    receiver = ends.start_receiver()
    assert sender.wait() == DONE, ends.said("send")
    assert stop(receiver) == DONE
    assert verdict(ends).flaws == {}


def test_both_are_stopped_and_go_on(ends: Ends) -> None:
    receiver = ends.start_receiver()
    sender = ends.start_sender(*SLOWLY, captions=True)
    until_delivered(ends.sink, SOME)
    receiver.signal(signal.SIGTERM)
    assert (stop(sender), receiver.wait()) == (WORK_LEFT, DONE)

    receiver = ends.start_receiver()
    sender = ends.start_sender(captions=True)
    assert sender.wait() == DONE, ends.said("send")
    assert stop(receiver) == DONE
    assert (verdict(ends).flaws, verdict(ends).wordless) == ({}, [])


def test_a_sender_can_be_stopped_while_only_captions_are_left(ends: Ends) -> None:
    receiver = ends.start_receiver()
    sender = ends.start_sender("--caption-delay", 1000, captions=True)
    until_delivered(ends.sink, FRAMES)
    assert stop(sender) == WORK_LEFT
    assert "Traceback" not in ends.said("send")

    again = ends.start_sender(captions=True)
    assert again.wait() == DONE, ends.said("send")
    assert stop(receiver) == DONE
    assert (verdict(ends).flaws, verdict(ends).wordless) == ({}, [])


# Once more


def test_a_feed_that_was_acked_is_sent_again_only_on_request(ends: Ends) -> None:
    receiver = ends.start_receiver()
    assert ends.start_sender().wait() == DONE

    idle = ends.start_sender()
    assert idle.wait() == DONE
    said = ends.said("send")
    assert "was acked before" in said
    assert "--again" in said
    assert idle.line()["connections"] == 0

    again = ends.start_sender("--again")
    assert again.wait() == DONE, ends.said("send")
    assert again.line()["epoch"] == 2
    assert stop(receiver) == DONE
    assert (verdict(ends, epoch=1).flaws, verdict(ends, epoch=2).flaws) == ({}, {})


# Two in one place


def test_a_ledger_has_one_receiver(ends: Ends) -> None:
    receiver = ends.start_receiver()
    receiver.line()
    second = ends.start_receiver("--set", "log_level=info")
    assert second.wait() == REFUSED
    assert f"{ends.ledger.parent} is in use by another" in ends.said("receive")
    assert ends.start_sender().wait() == DONE
    assert stop(receiver) == DONE
    assert verdict(ends).flaws == {}


def test_a_journal_has_one_sender(ends: Ends) -> None:
    receiver = ends.start_receiver()
    sender = ends.start_sender(*SLOWLY)
    until_delivered(ends.sink, SOME)
    assert ends.start_sender().wait() == REFUSED
    assert f"{ends.journal} is in use by another" in ends.said("send")
    assert sender.wait() == DONE
    assert stop(receiver) == DONE
    assert verdict(ends).flaws == {}


# Epochs


def test_a_lost_journal_begins_an_epoch_and_fences_the_old_one(ends: Ends) -> None:
    receiver = ends.start_receiver()
    old = ends.start_sender("--set", "expect_captions=true", *SLOWLY)
    publisher = ends.start_publisher(*SLOWLY)
    until_delivered(ends.sink, SOME)
    shutil.rmtree(ends.journal)
    new = ends.start_sender("--set", "expect_captions=true")
    assert old.wait() == REFUSED
    assert "epoch 1" in ends.said("send")
    assert new.wait() == DONE, ends.said("send")
    assert new.line()["epoch"] == 2
    assert publisher.wait() == DONE, ends.said("captions")
    assert stop(receiver) == DONE
    assert (verdict(ends, epoch=2).flaws, verdict(ends, epoch=2).wordless) == ({}, [])
    first = verdict(ends, epoch=1)
    assert first.lost  # its sender never finished
    assert (first.applied_twice, first.damaged) == ([], [])


def test_an_old_journal_that_comes_back_is_refused(ends: Ends, tmp_path: Path) -> None:
    receiver = ends.start_receiver()
    sender = ends.start_sender(*SLOWLY)
    until_delivered(ends.sink, SOME)
    assert stop(sender) == WORK_LEFT
    kept = ends.journal.rename(tmp_path / "kept")
    sender = ends.start_sender(*SLOWLY)
    until_delivered(ends.sink, 2 * SOME)

    ends.journal.rename(tmp_path / "current")
    kept.rename(ends.journal)
    assert ends.start_sender().wait() == REFUSED
    assert "epoch 1 of stream 'numbered' is over, 2 has begun" in ends.said("send")

    assert sender.wait() == DONE, ends.said("send")
    assert stop(receiver) == DONE
    assert verdict(ends, epoch=2).flaws == {}
