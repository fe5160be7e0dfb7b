"""Encoders that are told: what a feed says reaches them, a captioner speaks where it is silent."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import ipc

from cluster.trials.processes import Program, receiver
from sender.encode_worker import CodecSettings, EncodeTask, Made, Unencodable, build_encoder
from sender.encoders import EncoderPool
from sender.settings import SendSettings
from sender.sources import read_pictures
from shared.captioner import CaptionerError
from shared.codecs import ToldEncoder, load_decoder, load_encoder
from shared.pictures import Picture, picture_from_bytes
from shared.settings import SettingsError
from shared.systems.catalogue import ENVIRONMENT
from shared.text.image_to_text import load_captioner
from tests.captioner_models import SIDE, make_blip
from tests.commands import sidewire
from tests.patience import PATIENCE
from tests.told_figure import registered
from tests.told_system import NAME

QUALITY = 1
SPOKEN, SILENT, BROKEN = "spoken", "silent", "broken"
#: Of a size that a captioner fails on which does not resize.
ODD = "odd"
CAPTION = "A red door in a wall of pale stone."


@pytest.fixture(scope="module", autouse=True)
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The system; its bundle."""
    with registered(tmp_path_factory.mktemp("told")) as bundle:
        yield bundle


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blip(tmp_path_factory.mktemp("models") / "blip")


def png(seed: int, side: int = 64) -> bytes:
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).resize((side, side)).save(file, "PNG")
    return file.getvalue()


IMAGES = {SPOKEN: png(1), SILENT: png(2), BROKEN: b"no picture"}
CAPTIONS = {SPOKEN: CAPTION, SILENT: None, BROKEN: CAPTION}


def rows(column: str = "captions", **captions: object) -> pa.Table:
    said = CAPTIONS | captions
    return pa.Table.from_pylist(
        [{"id": name, "image": image, column: said[name]} for name, image in IMAGES.items()]
    )


def as_parquet(folder: Path) -> Path:
    pq.write_table(rows(spoken=[CAPTION], silent=[], broken=[]), folder / "feed.parquet")
    return folder / "feed.parquet"


def as_arrow(folder: Path) -> Path:
    with ipc.new_file(str(folder / "feed.arrow"), rows("caption").schema) as file:
        file.write_table(rows("caption"))
    return folder / "feed.arrow"


def as_sidecars(folder: Path) -> Path:
    for name, image in IMAGES.items():
        (folder / f"{name}.png").write_bytes(image)
    (folder / f"{SPOKEN}.txt").write_text(CAPTION)
    return folder


def as_listed(folder: Path) -> Path:
    as_sidecars(folder).joinpath(f"{SPOKEN}.txt").unlink()
    line = json.dumps({"file": f"{SPOKEN}.png", "caption": CAPTION})
    (folder / "captions.jsonl").write_text(line + "\n")
    return folder


def blob(name: str, caption: str | None) -> bytes:
    return blob_of(IMAGES[name], caption)


def blob_of(image: bytes, caption: str | None) -> bytes:
    encoder = load_encoder(NAME)
    assert isinstance(encoder, ToldEncoder)
    return encoder.encode_told(picture_from_bytes(image), QUALITY, caption).blob


def encoded(feed: Path, captioner: Path | None = None) -> dict[str, Made]:
    """What an encoding process makes of a feed, here in this one; all but the broken picture.

    Whole processes are in the tests over real sockets.
    """
    settings = CodecSettings(NAME, QUALITY, threads=1, captioner=captioner)
    _, make = build_encoder(settings)
    made = {
        one.name: make(EncodeTask(one.image, one.caption))
        for one in read_pictures(str(feed), told=0)
    }
    assert isinstance(made.pop(BROKEN), Unencodable)
    return {name: one for name, one in made.items() if isinstance(one, Made)}


@pytest.mark.parametrize("write", [as_parquet, as_arrow, as_sidecars, as_listed])
def test_what_any_feed_says_reaches_the_encoder(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    made = encoded(write(tmp_path))
    assert made[SPOKEN].container == blob(SPOKEN, CAPTION) != blob(SPOKEN, None)
    assert made[SILENT].container == blob(SILENT, None)
    assert made[SILENT].warning == ""


def test_a_captioner_speaks_where_the_feed_is_silent_over_real_sockets(tmp_path: Path) -> None:
    """The feed wins; captions on their own channel are the feed's, and for readers. What the captioner cannot
    describe is in the sender's log, as is a feed that says nothing to nobody who could.
    """
    picky = make_blip(tmp_path / "blip", resizes=False)
    images = IMAGES | {SILENT: png(2, SIDE), ODD: png(3, SIDE + 16)}
    said = CAPTIONS | {SPOKEN: [CAPTION], BROKEN: [], ODD: []}
    listed = [{"id": one, "image": images[one], "captions": said[one]} for one in images]
    pq.write_table(pa.Table.from_pylist(listed), tmp_path / "feed.parquet")
    pq.write_table(rows(spoken=None, broken=None), tmp_path / "mute.parquet")
    sink = tmp_path / "sink"
    echo = ("--sink", sink, "--set", "decoder=benchmark-echo", "--caption-wait", PATIENCE)
    with receiver(tmp_path / "state", *echo) as running:
        sent = send(
            tmp_path / "feed",
            *("--images", running.images, "--captions", running.captions, "--captioner", picky),
        )
        mute = send(tmp_path / "mute", "--images", running.images)
    assert (sent["decoded_with_text"], sent["decoded_no_text"], sent["rejected"]) == (1, 2, 1)
    assert (mute["decoded_no_text"], mute["rejected"]) == (2, 1)
    received = {
        path.name.split("-")[2].partition(".")[0]: path.read_bytes()
        for path in sink.glob("feed/*.swi")
    }
    seen = load_captioner(picky).caption(picture_from_bytes(images[SILENT]))
    assert seen
    assert received[SPOKEN] == blob(SPOKEN, CAPTION)
    assert received[SILENT] == blob_of(images[SILENT], seen) != blob_of(images[SILENT], None)
    assert received[ODD] == blob_of(images[ODD], None)
    failed, silent = ((tmp_path / f"{name}.log").read_text() for name in ("feed", "mute"))
    assert f"{ODD} is encoded as if nothing was said: the captioner has no words" in failed
    assert "no caption for any of 3 pictures: all were encoded as if nothing was said" in silent
    assert "no caption for any" not in failed


def send(place: Path, *words: object) -> dict[str, Any]:
    """What a sender of the feed there says at its end; its log lies beside the feed."""
    sender = Program(
        *(
            "send",
            "--feed",
            place.with_suffix(".parquet"),
            "--state",
            place.with_suffix(".journal"),
        ),
        *("--codec", NAME, "--quality", QUALITY, "--processes", 1, "--json", *words),
        log=place.with_suffix(".log"),
    )
    return sender.line()


def test_a_feed_without_a_column_of_captions_leaves_all_to_the_captioner(
    tmp_path: Path, blip: Path
) -> None:
    feed = tmp_path / "feed.parquet"
    pq.write_table(rows().drop_columns("captions"), feed)
    captioner = load_captioner(blip)
    made = encoded(feed, blip)
    for name in (SPOKEN, SILENT):
        seen = captioner.caption(picture_from_bytes(IMAGES[name]))
        assert made[name].container == blob(name, seen)


def test_a_captioner_that_fails_on_a_picture_costs_its_words_alone(tmp_path: Path) -> None:
    picky = make_blip(tmp_path / "blip", resizes=False)
    made = encoded(as_parquet(tmp_path), picky)
    assert made[SPOKEN].container == blob(SPOKEN, CAPTION)
    assert made[SILENT].container == blob(SILENT, None)
    assert made[SILENT].warning.startswith("the captioner has no words for it: ")


def test_the_decoder_of_a_told_sender_reads_nothing(told: Path) -> None:
    """No picture waits for words at the receiver, and its decoder loads no text encoder."""
    decoder = load_decoder(NAME)
    assert not decoder.reads_text
    silent, spoken = decoder.decode_batch([blob(SPOKEN, CAPTION)] * 2, [None, CAPTION])
    assert not isinstance(silent, Exception)
    assert not isinstance(spoken, Exception)
    np.testing.assert_array_equal(silent.picture, spoken.picture)
    assert decoder.text_encoder_id == ""


def test_a_file_is_encoded_with_what_the_captioner_sees(tmp_path: Path, blip: Path) -> None:
    (tmp_path / "p.png").write_bytes(IMAGES[SILENT])
    systems = {ENVIRONMENT: os.environ[ENVIRONMENT]}
    words = ("encode", tmp_path / "p.png", tmp_path / "p.swi", "--codec", NAME)
    # Which systems there are is known here; the settings of this process are hidden from a command.
    done = sidewire(*words, "--quality", QUALITY, "--captioner", blip, "--json", **systems)
    said = json.loads(done.stdout)
    assert said["caption"] == load_captioner(blip).caption(picture_from_bytes(IMAGES[SILENT]))
    assert (tmp_path / "p.swi").read_bytes() == blob(SILENT, said["caption"])
    done = sidewire(*words, "--captioner", blip, "--caption", CAPTION, code=2, **systems)
    assert "give one of --caption and --captioner" in " ".join(done.stderr.split())


def test_an_encoder_that_reads_no_words_refuses_a_captioner(blip: Path) -> None:
    async def start(codec: str) -> None:
        pool = EncoderPool(codec, QUALITY, 1, 1, captioner=blip)
        try:
            await pool.start()
        finally:
            await pool.close()

    with pytest.raises(CaptionerError, match=r"captioner is .*, but the encoder of base reads no"):
        asyncio.run(start("base"))


@pytest.mark.parametrize(
    ("other", "message"),
    [({"preview_bytes": 50}, "captioner and preview_bytes"), ({"codec": "sealed"}, "sealed sends")],
)
def test_settings_that_leave_a_captioner_nothing_to_do_are_refused(
    other: dict[str, object], message: str
) -> None:
    values = {"feed": "f", "images": "127.0.0.1:1", "codec": NAME, "captioner": "c"}
    with pytest.raises(SettingsError, match=message):
        SendSettings.load(values | other)


# The captioner itself


def test_a_caption_is_the_same_alone_and_in_any_batch(blip: Path) -> None:
    captioner = load_captioner(blip)
    pictures: list[Picture] = [picture_from_bytes(png(seed)) for seed in range(9)]
    pictures += [np.full((1, 3000, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)]
    captions = captioner.caption_batch(pictures)
    assert captions == [captioner.caption(one) for one in pictures]
    assert len(set(map(str, captions))) > 4
    assert all("[" not in str(one) and str(one) == str(one).strip() for one in captions)


def test_one_picture_without_words_fails_no_other(tmp_path: Path) -> None:
    picky = load_captioner(make_blip(tmp_path / "blip", resizes=False))
    fitting, other = (picture_from_bytes(png(1, side)) for side in (SIDE, SIDE + 16))
    words, error, again = picky.caption_batch([fitting, other, fitting])
    assert words == again == picky.caption(fitting)
    assert isinstance(error, CaptionerError)


def strip(folder: Path, name: str) -> None:
    (folder / name).unlink()


def as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def with_code(folder: Path) -> None:
    """A config that asks for code of its own."""
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("open('ran', 'w')\nclass Config: pass\n")


def as_text_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "is no folder"),
        (lambda folder: strip(folder, "config.json"), "holds no usable model"),
        (lambda folder: strip(folder, "model.safetensors"), "holds no usable model"),
        (as_pickle, "holds no usable model"),
        (with_code, "holds no usable model"),
        (as_text_model, "holds no usable model"),
        (lambda folder: strip(folder, "processor_config.json"), "lacks its processor"),
        (lambda folder: strip(folder, "tokenizer.json"), "lacks its processor"),
    ],
)
def test_a_folder_that_is_no_captioner_is_refused(
    tmp_path: Path, blip: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = Path(shutil.copytree(blip, tmp_path / "copy"))
    spoil(folder)
    with pytest.raises(CaptionerError, match=message) as caught:
        load_captioner(folder)
    assert str(folder) in str(caught.value)
    assert not Path("ran").exists()
