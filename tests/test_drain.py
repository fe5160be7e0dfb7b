"""Invariant: what is stopped in order says what is left and finishes it at its next start; and two that
claim the same place cannot both have it."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.trials.effects import Verdict, as_sent, folder_deliveries, judge
from cluster.trials.feed import write_feed
from cluster.trials.processes import Ends, Program, result
from receiver.decoders.noop import NoOpPool
from receiver.serve import Addresses, receive
from receiver.settings import ReceiveSettings
from shared.errors import SidewireError
from tests.patience import LATE_WINDOW
from tests.processes import until, until_delivered, until_paused

FRAMES, PAYLOAD_BYTES = 120, 600
#: A client stops itself some way into a run, and does not come to its end on a machine that is late.
PAUSE = "before_send:pause:20"
#: Frames a second: when the first one that waited is out, the last one still waits.
SLOWLY = ("--rate", 20)
RECEIVE = ("--set", "decoder=benchmark-echo", *LATE_WINDOW)
DONE, REFUSED, WORK_LEFT = 0, 1, 4


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("feeds") / "numbered.parquet"
    write_feed(path, FRAMES, PAYLOAD_BYTES)
    return path


@pytest.fixture
def ends(tmp_path: Path, feed: Path) -> Iterator[Ends]:
    with Ends(tmp_path, feed, receive=RECEIVE) as both:
        yield both


def stop(program: Program) -> int:
    """SIGTERM; its exit code."""
    program.signal(signal.SIGTERM)
    return program.wait()


def verdict(ends: Ends, epoch: int = 1) -> Verdict:
    right = as_sent(PAYLOAD_BYTES)
    return judge(folder_deliveries(ends.sink), ends.ledger, FRAMES, right, epoch)


def paused(program: Program) -> Program:
    """The same, as soon as it has stopped at its fail point."""
    until_paused(program)
    return program


def held(ends: Ends) -> int:
    """Pictures in the receiver's memory."""
    sessions = result(("status", "--images", ends.images))["sessions"]
    return sum(one["images"]["held"] for one in sessions)


# Stopped in order


def test_a_stopped_sender_goes_on_where_it_was(ends: Ends) -> None:
    receiver = ends.start_receiver()
    sender = paused(ends.start_sender(captions=True, fault=f"sender.{PAUSE}"))
    sender.signal(signal.SIGTERM)
    sender.signal(signal.SIGCONT)
    assert sender.wait() == WORK_LEFT
    assert "frames are in the journal and will be sent again" in ends.said("send")
    assert "Traceback" not in ends.said("send")

    again = ends.start_sender(captions=True)
    assert again.wait() == DONE, ends.said("send")
    assert again.line()["epoch"] == 1
    assert stop(receiver) == DONE
    assert (verdict(ends).flaws, verdict(ends).wordless) == ({}, [])


def test_a_stopped_receiver_finishes_what_it_holds(ends: Ends) -> None:
    receiver = ends.start_receiver()
    sender = paused(ends.start_sender(*SLOWLY, captions=True, fault=f"sender.{PAUSE}"))
    until_delivered(ends.sink, 1)
    receiver.signal(signal.SIGTERM)
    until(lambda: "draining" in ends.said("receive"), "the receiver takes nothing new")
    sender.signal(signal.SIGCONT)
    assert receiver.wait() == DONE
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
    sender = paused(ends.start_sender(*SLOWLY, captions=True, fault=f"sender.{PAUSE}"))
    until_delivered(ends.sink, 1)
    receiver.signal(signal.SIGTERM)
    sender.signal(signal.SIGTERM)
    sender.signal(signal.SIGCONT)
    assert (sender.wait(), receiver.wait()) == (WORK_LEFT, DONE)

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
    sender = paused(ends.start_sender(fault=f"sender.{PAUSE}"))
    assert ends.start_sender().wait() == REFUSED
    assert f"{ends.journal} is in use by another" in ends.said("send")
    sender.signal(signal.SIGCONT)
    assert sender.wait() == DONE
    assert stop(receiver) == DONE
    assert verdict(ends).flaws == {}


# Epochs


def test_a_lost_journal_begins_an_epoch_and_fences_the_old_one(ends: Ends) -> None:
    expecting = ("--set", "expect_captions=true")
    receiver = ends.start_receiver()
    old = paused(ends.start_sender(*expecting, fault=f"sender.{PAUSE}"))
    publisher = paused(ends.start_publisher(fault=f"publisher.{PAUSE}"))
    shutil.rmtree(ends.journal)
    new = ends.start_sender(*expecting)
    publisher.signal(signal.SIGCONT)  # most of its captions would wait for pictures of epoch 1
    assert new.wait() == DONE, ends.said("send")
    assert new.line()["epoch"] == 2
    assert publisher.wait() == DONE, ends.said("captions")

    old.signal(signal.SIGCONT)
    assert old.wait() == REFUSED
    assert re.search("epoch 1 .*is over", ends.said("send"))
    assert stop(receiver) == DONE
    assert (verdict(ends, epoch=2).flaws, verdict(ends, epoch=2).wordless) == ({}, [])
    first = verdict(ends, epoch=1)
    assert first.lost  # its sender never finished
    assert (first.applied_twice, first.damaged) == ([], [])


def test_an_old_journal_that_comes_back_is_refused(ends: Ends, tmp_path: Path) -> None:
    receiver = ends.start_receiver()
    paused(ends.start_sender(fault=f"sender.{PAUSE}")).kill()
    kept = ends.journal.rename(tmp_path / "kept")
    sender = paused(ends.start_sender(fault=f"sender.{PAUSE}"))

    ends.journal.rename(tmp_path / "current")
    kept.rename(ends.journal)
    assert ends.start_sender().wait() == REFUSED
    assert "epoch 1 of stream 'numbered' is over, 2 has begun" in ends.said("send")

    sender.signal(signal.SIGCONT)
    assert sender.wait() == DONE, ends.said("send")
    assert stop(receiver) == DONE
    assert verdict(ends, epoch=2).flaws == {}


class EndingPool(NoOpPool):
    """One whose decoders end a moment after they were ready."""

    async def watch(self) -> None:
        await asyncio.sleep(0.2)
        raise SidewireError("no decoders: they were stopped")


def test_a_receiver_whose_decoders_end_shuts_its_doors(tmp_path: Path) -> None:
    """gRPC's core would take the next call into memory that Python has given to others."""
    doors: list[Addresses] = []
    settings = ReceiveSettings(
        images="127.0.0.1:0",
        captions="127.0.0.1:0",
        state=tmp_path / "state",
        sink=str(tmp_path / "sink"),
    )

    async def scenario() -> None:
        with pytest.raises(SidewireError, match="they were stopped"):
            await receive(settings, asyncio.Event(), doors.append, pool=EndingPool())
        for address in (doors[0].images, doors[0].captions):
            host, _, port = address.rpartition(":")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(host, int(port))

    asyncio.run(scenario())
