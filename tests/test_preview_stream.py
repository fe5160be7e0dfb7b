"""Previews on a stream of their own: what ``send --preview-bytes`` sends, and where."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sidewire
from sender.send import made_with, stream_of
from sender.settings import SendSettings
from shared.wire.limits import STREAM_ID_LENGTH
from shared.wire.streams import is_of_previews, previews_of

PLACE = {"feed": "walks.parquet", "images": "127.0.0.1:1"}
LIMIT = 50


def test_names() -> None:
    assert previews_of("demo") == "demo.previews"
    assert is_of_previews("demo.previews")
    assert not is_of_previews("demo")
    longest = previews_of("x" * STREAM_ID_LENGTH)
    assert len(longest) == STREAM_ID_LENGTH
    assert is_of_previews(longest)


def test_settings() -> None:
    assert stream_of(SendSettings(**PLACE)) == "walks"
    previews = SendSettings(**PLACE, preview_bytes=LIMIT)
    assert stream_of(previews) == "walks.previews"
    assert stream_of(SendSettings(**PLACE, preview_bytes=LIMIT, stream="x")) == "x"
    assert made_with(previews).quality == "a preview in 50 bytes"


@pytest.mark.parametrize(
    ("other", "message"),
    [({"quality": 3}, "quality and preview_bytes"), ({"codec": "sealed"}, "needs pictures")],
)
def test_what_does_not_go_with_previews(other: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SendSettings(**PLACE, preview_bytes=LIMIT, **other)


def _feed(folder: Path) -> Path:
    folder.mkdir()
    y, x = np.mgrid[:200, :300]
    pixels = np.stack([x % 256, y, (x + y) // 2 % 256], axis=2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    (folder / "slope.png").write_bytes(file.getvalue())
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


async def _sent(tmp_path: Path) -> dict[str, int]:
    settings = sidewire.ReceiveSettings(
        images="127.0.0.1:0",
        captions="127.0.0.1:0",
        state=tmp_path / "ledger",
        sink=tmp_path / "pictures",
        decoder_processes=1,
    )
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    receiving = asyncio.create_task(sidewire.receive(settings, stop, ready.set_result))
    to = await ready
    sending = sidewire.SendSettings(
        feed=str(_feed(tmp_path / "walks")),
        images=to.images,
        state=tmp_path / "journal",
        processes=1,
        preview_bytes=LIMIT,
    )
    sent = await sidewire.send(sending)
    stop.set()
    await receiving
    assert sent.stream_id == "walks.previews"
    return dict(sent.frames)


def test_previews_are_frames_like_others(tmp_path: Path) -> None:
    ends = asyncio.run(asyncio.wait_for(_sent(tmp_path), 300))
    assert sum(ends.values()) == 2
    (facts,) = [
        found
        for path in (tmp_path / "pictures" / "walks.previews").glob("*.json")
        if (found := json.loads(path.read_text()))["width"]
    ]
    assert 0 < facts["bytes"] <= LIMIT
    assert (facts["name"], facts["width"], facts["height"]) == ("slope", 300, 200)
