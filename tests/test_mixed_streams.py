"""Pictures of several codecs on one session: each is decoded by its own, and refused where there is none."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cluster.trials.processes import Program, receiver
from shared.bitstream.container import Container
from shared.bitstream.header import Header
from shared.bundle import read_manifest, shipped_bundle
from shared.codecs import get_codec
from shared.pictures import Picture

LEVEL = 12
CODECS = ("base", "ssa")
#: What decodes ssa's streams here: the twin, whose decoder loads no text encoder for words that never come.
TWIN = "none"
#: That both streams are of, as refusals show it.
MODEL = read_manifest(shipped_bundle("base")).model_id[:8]
#: The same of streams that hold words.
WORDED = read_manifest(shipped_bundle("misc")).model_id[:8]
#: Of pictures that no decoder has a model for.
FOREIGN, UNKNOWN = "another-model", "another-codec"


def picture(number: int) -> Picture:
    colours = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(colours).resize((64, 64)), np.uint8)


@pytest.fixture(scope="module")
def containers() -> dict[str, bytes]:
    """Two codecs by turns, and between them a container of another model and one of another codec."""
    found = {}
    for number in range(6):
        codec = CODECS[number % 2]
        found[f"{codec}{number}"] = get_codec(codec).encode(picture(number), LEVEL).blob
        if number == 2:
            for name, codec_id in ((FOREIGN, 1), (UNKNOWN, 250)):
                header = Header(codec_id, b"\xff\xfe\xfd\xfc", 64, 64, LEVEL)
                found[name] = Container(header, 0, bytes(8)).to_bytes()
    return found


@pytest.fixture
def feed(tmp_path: Path, containers: dict[str, bytes]) -> Path:
    path = tmp_path / "feed.parquet"
    rows = [{"id": name, "image": container} for name, container in containers.items()]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


class Run:
    """What a receiver makes of the feed, and the sender's last line."""

    def __init__(self, folder: Path, feed: Path, *words: object) -> None:
        log = folder / "send.log"
        sink = ("--sink", folder / "sink", "--set", "decoder_processes=1")
        with receiver(folder / "state", *sink, *words) as running:
            self.sent = Program(
                *("send", "--feed", feed, "--codec", "sealed", "--json"),
                *("--images", running.images, "--state", folder / "journal"),
                log=log,
            ).line()
        self.said = log.read_text()
        notes = [json.loads(one.read_text()) for one in (folder / "sink").rglob("*.json")]
        self.notes = {note["name"]: note for note in notes}
        self.pictures = {
            path.name.split("-", 2)[2].partition(".")[0]: path.read_bytes()
            for path in (folder / "sink").rglob("*.png")
        }


def test_two_codecs_share_a_session_and_what_is_foreign_stops_neither(
    tmp_path: Path, feed: Path, containers: dict[str, bytes]
) -> None:
    run = Run(tmp_path, feed, "--set", f"generator={TWIN}")
    known = set(containers) - {FOREIGN, UNKNOWN}
    assert (run.sent["decoded_no_text"], run.sent["rejected"]) == (6, 2)
    assert set(run.notes) == set(containers)
    assert set(run.pictures) == known
    for name in known:
        assert run.notes[name]["codec"] == name[:-1]
        decoder = get_codec(TWIN if name.startswith("ssa") else "base")
        expected = decoder.decode(containers[name]).picture.astype(int)
        with Image.open(io.BytesIO(run.pictures[name])) as seen:
            assert np.abs(np.asarray(seen).astype(int) - expected).max() <= 1
    here = f"base {MODEL}, misc {WORDED}, ssa {MODEL}"
    for name, reason in (
        (FOREIGN, f"codec base with model fffefdfc is not among those decoded here: {here}"),
        (UNKNOWN, f"codec id 250, which this build does not know; decoded here: {here}"),
    ):
        assert any(name in line and reason in line for line in run.said.splitlines())


def test_a_receiver_of_one_model_refuses_the_others_by_name(
    tmp_path: Path, feed: Path, containers: dict[str, bytes]
) -> None:
    run = Run(tmp_path, feed, "--bundle", shipped_bundle("base"))
    assert (run.sent["decoded_no_text"], run.sent["rejected"]) == (3, 5)
    assert set(run.pictures) == {"base0", "base2", "base4"}
    # A short container tells the first byte of its model's id.
    reason = f"codec ssa with model {MODEL[:2]} is not among those decoded here: base {MODEL}"
    for name in ("ssa1", "ssa3", "ssa5"):
        assert any(name in line and reason in line for line in run.said.splitlines())


def test_a_generators_bundle_alone_decodes_the_stream_that_it_stands_on(
    tmp_path: Path, feed: Path, containers: dict[str, bytes]
) -> None:
    run = Run(tmp_path, feed, "--bundle", shipped_bundle("none"))
    assert (run.sent["decoded_no_text"], run.sent["rejected"]) == (6, 2)
    painted = get_codec("none").decode(containers["base4"]).picture.astype(int)
    with Image.open(io.BytesIO(run.pictures["base4"])) as seen:
        assert np.abs(np.asarray(seen).astype(int) - painted).max() <= 1
    assert run.notes["base4"]["codec"] == "base"
