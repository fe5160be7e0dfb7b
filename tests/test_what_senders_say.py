"""What ``send`` and ``captions`` say of themselves: wrong codecs, other settings than before, totals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.trials.feed import write_feed
from cluster.trials.processes import Ends
from sender.codecs import check_codec, sendable
from sender.journal import Journal, MadeWith
from sender.send import made_with
from sender.settings import SendSettings
from tests.processes import until_delivered, until_paused
from tests.test_journal import frame

FRAMES, PAYLOAD_BYTES = 40, 300
DONE, USAGE, WORK_LEFT = 0, 2, 4
BEFORE = MadeWith(feed="/feed", repeat="1", codec="base", quality="", bundle="")


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    feed = tmp_path / "numbered.parquet"
    write_feed(feed, FRAMES, PAYLOAD_BYTES)
    with Ends(tmp_path, feed) as both:
        yield both


# Codecs


def test_what_can_be_sent_with_and_what_a_bundle_is_of_pass() -> None:
    for name in sendable():
        check_codec(name, None)
    check_codec("whatever", Path("bundle"))


def test_a_wrong_codec_is_the_first_thing_that_send_says(tmp_path: Path, ends: Ends) -> None:
    for name in ("bsae", "baseline/webp"):
        sender = ends.start_sender("--codec", name, "--feed", tmp_path / "no.parquet")
        assert sender.wait() == USAGE
        said = ends.said("send").splitlines()[-1]
        assert said.startswith(f"sidewire: codec is '{name}', must be one that writes containers: ")
        assert all(known in said for known in sendable())
    assert not ends.journal.exists()


# Other settings than before


def test_changes_are_named_with_both_values() -> None:
    assert BEFORE.changes(BEFORE) == ""
    now = MadeWith(feed="/other", repeat="1", codec="base", quality="3", bundle="")
    assert BEFORE.changes(now) == ("feed was /feed and is /other, quality was not given and is 3")


def test_settings_are_noted_with_the_first_frame_that_is_made_with_them(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "camera")
    journal.go_on_with(BEFORE)
    assert journal.made_with() is None
    journal.add([frame(0)])
    assert journal.made_with() == BEFORE
    journal.close()
    again = Journal(path, "camera")
    assert again.made_with() == BEFORE
    again.close()


def test_a_journal_that_was_begun_without_them_is_given_them(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "camera")
    journal._database.connection.execute("DROP TABLE made_with")
    journal.add([frame(0)])
    assert journal.made_with() is None
    journal.go_on_with(BEFORE)
    journal.add([frame(1)])
    assert journal.made_with() == BEFORE
    assert [one.seq for one in journal.unacked()] == [0, 1]
    journal.close()


def test_feeds_and_bundles_are_known_by_their_whole_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    settings = SendSettings(feed="tmp/feed", images="127.0.0.1:1", quality=3, bundle=Path("b"))
    assert made_with(settings) == MadeWith("/tmp/feed", "1", "base", "3", "/b")
    assert made_with(SendSettings(feed="-", images="127.0.0.1:1")).feed == "-"


def test_a_sender_that_goes_on_with_other_settings_says_so(ends: Ends) -> None:
    ends.start_receiver().line()
    first = ends.start_sender(fault="sender.before_send:pause:5")
    until_paused(first)
    first.kill()
    assert "other settings" not in ends.said("send")

    second = ends.start_sender("--quality", 3)
    assert second.wait() == DONE, ends.said("send")
    said = ends.said("send")
    assert "stream 'numbered' goes on at number " in said
    assert "with other settings: quality was not given and is 3;" in said

    third = ends.start_sender("--quality", 4)
    assert third.wait() == DONE
    last = ends.said("send").splitlines()[-1]
    assert "nothing was sent although quality was " in last
    assert " and is 4; --again sends it once more" in last
    until_delivered(ends.sink, FRAMES)


# Totals


def test_captions_that_are_finished_say_so_with_totals(ends: Ends) -> None:
    ends.start_receiver().line()
    sender = ends.start_sender("--set", "expect_captions=true")
    first = ends.start_publisher()
    assert first.wait() == DONE, ends.said("captions")
    assert sender.wait() == DONE, ends.said("send")
    said = first.line()
    assert (said["stream"], said["epoch"]) == ("numbered", 1)
    assert (said["published"], said["ended_before"]) == (FRAMES, 0)
    assert sum(count for name, count in said.items() if name.startswith("decoded")) == FRAMES

    idle = ends.start_publisher()
    assert idle.wait() == DONE, ends.said("captions")
    said = idle.line()
    assert (said["published"], said["ended_before"]) == (0, FRAMES)
    assert "all 40 captions of stream 'numbered' had ended before" in ends.said("captions")


def test_captions_that_were_stopped_say_how_many_had_ended(ends: Ends) -> None:
    ends.start_receiver().line()
    sender = ends.start_sender("--set", "expect_captions=true")
    stopped = ends.start_publisher("--rate", 20)
    until_delivered(ends.sink, 5)
    stopped.signal(signal.SIGTERM)
    assert stopped.wait() == WORK_LEFT
    again = ends.start_publisher()
    assert again.wait() == DONE, ends.said("captions")
    assert sender.wait() == DONE, ends.said("send")
    said = again.line()
    assert said["ended_before"] > 0
    assert said["published"] + said["ended_before"] == FRAMES
