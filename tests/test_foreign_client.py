"""A client in another language, a real receiver, real streams: pictures and captions meet."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from shared.pictures import read_picture
from tests.codecs import whole
from tests.conftest import GOLDEN
from tests.contract.node import node, require_node
from tests.patience import PATIENCE

SIDEWIRE = Path(sys.executable).parent / "sidewire"
CAPTIONS = {
    "parrots": "Zwei Aras 🦜 im Baum",
    "lighthouse": "A lighthouse behind a fence",
    "strip": "The edge of a cap",
    "pixel": "One pixel",
}


@dataclass(frozen=True)
class Receiver:
    """Where a running receiver listens and puts its pictures."""

    images: str
    captions: str
    sink: Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One process on free ports; afterwards it has drained and left with exit code 0."""
    require_node()  # or it would be started in vain
    folder = tmp_path_factory.mktemp("receiver")
    sink = folder / "sink"
    places = ["--images", "127.0.0.1:0", "--captions", "127.0.0.1:0", "--sink", sink]
    settings = [f"bundle={GOLDEN / 'bundle'}", "picture_format=png", "caption_wait=60"]
    options = [word for setting in settings for word in ("--set", setting)]
    command = [SIDEWIRE, "receive", *places, "--state", folder / "state", *options]
    log = folder / "receiver.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            line = process.stdout.readline()
            assert line, log.read_text()
            ready = json.loads(line)
            assert ready["ready"] is True
            yield Receiver(ready["images"], ready["captions"], sink)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, log.read_text()


def test_a_foreign_client_delivers_pictures_with_their_captions(running: Receiver) -> None:
    pairs = [
        word
        for name, caption in CAPTIONS.items()
        for word in ("--frame", GOLDEN / f"{name}.swi", "--caption", caption)
    ]
    where = ("--images", running.images, "--captions", running.captions)
    run = node("sender.mjs", *where, "--stream", "foreign", *pairs)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    # The codec of these containers reads no words: they are acked, and kept beside their pictures.
    assert said["frames"] == [
        {"seq": str(seq), "revision": 0, "disposition": "DISPOSITION_DECODED_NO_TEXT", "reason": ""}
        for seq in range(len(CAPTIONS))
    ]
    assert said["captions"] == [
        {
            "seq": str(seq),
            "revision": 1,
            "disposition": "DISPOSITION_NOTED",
            "reason": "its picture's codec reads no words",
        }
        for seq in range(len(CAPTIONS))
    ]
    kept = [json.loads(path.read_text())["caption"] for path in running.sink.rglob("*.r1.json")]
    assert sorted(kept) == sorted(CAPTIONS.values())
    assert said["all_ended"] is True

    assert len(list(running.sink.rglob("*.png"))) == len(CAPTIONS)
    codec = whole(GOLDEN / "bundle", None)
    for name in CAPTIONS:
        (delivered,) = running.sink.rglob(f"*{name}*.png")
        expected = codec.decode((GOLDEN / f"{name}.swi").read_bytes()).picture
        np.testing.assert_array_equal(read_picture(delivered), expected)


def test_a_foreign_client_is_told_why_it_is_refused(running: Receiver, tmp_path: Path) -> None:
    """The reason comes as a status inside the stream, in words."""
    (tmp_path / "broken.swi").write_bytes(b"no container")
    where = ("--images", running.images, "--captions", running.captions)
    broken = tmp_path / "broken.swi"
    run = node("sender.mjs", *where, "--stream", "refused", "--frame", broken)
    assert run.returncode == 1
    assert run.stderr.strip() == (
        "sender: container not a Sidewire stream (the first two bytes are not its magic)"
    )
