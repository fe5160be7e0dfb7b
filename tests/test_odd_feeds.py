"""Feeds with an odd name or caption here and there arrive whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.trials.effects import folder_deliveries
from cluster.trials.frames import frame
from cluster.trials.processes import Ends
from sender.labels import shortened
from shared.wire.limits import Limits

LIMIT = Limits().name_bytes
LONG = ("x" * 137, "x" * 136 + "y", "名" * 43)


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    feed = tmp_path / "feed"
    feed.mkdir()
    with Ends(tmp_path, feed) as both:
        yield both


def test_long_names_and_unreadable_captions_stop_nothing(ends: Ends) -> None:
    names = ["a", "b", *LONG]
    for seq, name in enumerate(names):
        (ends.feed / f"{name}.swi").write_bytes(frame(seq).container)
        (ends.feed / f"{name}.txt").write_text(f"words {seq}")
    (ends.feed / "b.txt").write_bytes(b"the mayor\x92s desk")
    ends.start_receiver("--caption-wait", 60)
    sender = ends.start_sender(captions=True)
    assert sender.wait() == 0, ends.said("send")
    found = {one.name: (one.disposition, one.caption) for one in folder_deliveries(ends.sink)}
    expected = {
        shortened(name, LIMIT): ("DECODED_WITH_TEXT", f"words {seq}")
        for seq, name in enumerate(names)
    }
    expected["b"] = ("DECODED_NO_TEXT", None)  # at once: its publisher says that none will come
    assert found == expected
    assert "b.txt: not UTF-8" in ends.said("send")


# Labels


def test_a_name_that_fits_is_itself() -> None:
    for name in ("", "a", "x" * LIMIT, "名" * 42 + "é"):
        assert shortened(name, LIMIT) == name


@pytest.mark.parametrize("limit", [LIMIT, 64, 20, 11])
@pytest.mark.parametrize("name", [*LONG, "é" * 90, "x" + "é" * 90, "🦜" * 40])
def test_a_longer_one_fits_at_a_whole_character(name: str, limit: int) -> None:
    kept, mark = shortened(name, limit)[:-11], shortened(name, limit)[-11:]
    assert name.startswith(kept)
    assert limit - 3 <= len((kept + mark).encode()) <= limit
    assert mark.startswith("~")


@pytest.mark.parametrize("limit", [0, 1, 5, 10])
def test_no_limit_is_too_small(limit: int) -> None:
    assert len(shortened("x" * 137, limit)) == limit


def test_names_that_begin_alike_stay_apart() -> None:
    names = [f"{'x' * 200}{number}" for number in range(1000)]
    assert len({shortened(name, LIMIT) for name in names}) == 1000
