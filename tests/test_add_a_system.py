"""docs/add-a-system.md, step by step: a system of one file and one recipe goes the whole way."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from cluster.trials.processes import command
from shared.bundle import Manifest, save_bundle
from shared.codecs import ToldEncoder, get_codec, load_encoder
from shared.codecs.loading import load_bundle
from shared.feed import read_feed
from shared.pictures import picture_from_bytes, read_picture
from shared.systems.catalogue import ENVIRONMENT
from tests.commands import sidewire
from tests.demo_feed import write_demo_feed
from tests.registered import registered

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "add-a-system.md"
SYSTEM, RECIPE = HERE / "toy_system.py", HERE / "toy.yaml"
QUALITY = 1


def run(*words: object) -> str:
    """A command in this process, which knows the system; others do in the tests over real sockets."""
    return sidewire(*words, **{ENVIRONMENT: os.environ[ENVIRONMENT]}).stdout


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures with captions; one is broken."""
    return write_demo_feed(tmp_path_factory.mktemp("feed") / "feed.parquet")


@pytest.fixture(scope="module", autouse=True)
def toy(tmp_path_factory: pytest.TempPathFactory, feed: Path) -> Iterator[Path]:
    """The rows known here and in every process that is started; both systems trained for a few steps."""
    weights = tmp_path_factory.mktemp("toy")
    with registered("tests.toy_system") as patch:
        patch.setenv("TOY_WEIGHTS", str(weights))
        _train(weights, feed, tmp_path_factory.mktemp("data"))
        yield weights


def _train(weights: Path, feed: Path, data: Path) -> None:
    """Both systems, for a few steps."""
    whole = [row for row in read_feed(feed) if row.id != "broken"]
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows = [{"id": r.id, "image": r.image, "captions": list(r.captions)} for r in whole]
    pq.write_table(pa.Table.from_pylist(rows), data / "pictures.parquet")
    recipe = yaml.safe_load(RECIPE.read_text())
    twin = weights / "twin.yaml"
    twin.write_text(yaml.safe_dump(recipe | {"system": "toy-none", "told": "nowhere"}))
    for config, name in ((RECIPE, "toy"), (twin, "toy-none")):
        run(
            "train",
            config,
            "--data",
            data,
            "--out",
            weights / f"run-{name}",
            "--bundle",
            weights / name,
        )
    _speak_up(weights / "toy")


def _speak_up(folder: Path) -> None:
    """A few steps move the text's layers by too little for a symbol: make them louder."""
    bundle = load_bundle(folder)
    assert isinstance(bundle.manifest, Manifest)
    torch.manual_seed(0)
    name = "g_a.at.latent.beta.outer.weight"
    tensors = bundle.tensors | {name: torch.randn_like(bundle.tensors[name]) * 0.5}
    save_bundle(
        folder, bundle.manifest, tensors, exact={name.partition(".")[0] for name in tensors}
    )


def told_blob(feed: Path, name: str, caption: str | None) -> bytes:
    (row,) = (row for row in read_feed(feed) if row.id == name)
    encoder = load_encoder("toy")
    assert isinstance(encoder, ToldEncoder)
    return encoder.encode_told(picture_from_bytes(row.image), QUALITY, caption).blob


def test_it_is_one_file_and_one_recipe_and_the_page_shows_them() -> None:
    assert len(SYSTEM.read_text().splitlines()) <= 80
    page = PAGE.read_text()
    assert SYSTEM.read_text() in page
    assert RECIPE.read_text() in page


def test_the_words_change_its_bits(feed: Path) -> None:
    (row,) = (row for row in read_feed(feed) if row.id == "kodim03")
    told, silent = (told_blob(feed, "kodim03", text) for text in (row.captions[0], None))
    assert told != silent
    assert told_blob(feed, "kodim03", row.captions[0]) == told


def test_it_is_evaluated_against_its_twin(feed: Path, tmp_path: Path) -> None:
    said = run(
        *("eval", "--feed", feed, "--codecs", "toy,toy-none", "--qualities", QUALITY),
        *("--text", "matched,none", "--out", tmp_path, "--no-matching", "--json"),
    )
    rows = {(row["codec"], row["text"]): row for row in json.loads(said)}
    assert set(rows) == {("toy", "matched"), ("toy", "none"), ("toy-none", "none")}
    assert rows["toy", "matched"]["bpp"] != rows["toy", "none"]["bpp"]
    # What the encoder alone was told does not travel, and costs nothing on the way.
    assert rows["toy", "matched"]["caption_bpp"] == 0


def test_it_is_compared_with_itself_at_equal_bits(feed: Path, tmp_path: Path) -> None:
    """The mode decides what its encoder is told: the row's bytes are those of the told stream."""
    said = run(
        *("compare", "--feed", feed, "--out", tmp_path, "--codecs", "toy,toy-none,base", "--json"),
        *("--levels", f"0,{QUALITY}", "--show", 0, "--ssimulacra2-every", 9),
    )
    records = json.loads(said)
    rows = {(r["id"], r["text"], r["quality"]): r for r in _toy_rows(tmp_path / "rows.parquet")}
    (row,) = (row for row in read_feed(feed) if row.id == "kodim03")
    for text, caption in (("matched", row.captions[0]), ("none", None)):
        found = rows["kodim03", text, QUALITY]
        assert found["bytes"] == len(told_blob(feed, "kodim03", caption))
        assert found["caption_bytes"] == 0
    assert len({row["bytes"] for (name, *_), row in rows.items() if name == "kodim03"}) > 2
    asked = {
        (gain["pair"]["question"], gain["pair"]["anchor"], gain["counted"])
        for gain in records["gains"]
        if gain["pair"]["codec"] == "toy"
    }
    assert asked == {
        ("own caption over none", "toy", "picture"),
        ("wrong caption over none", "toy", "picture"),
        ("system over its twin", "toy-none", "picture"),
        ("system over base", "base", "picture"),
    }


def _toy_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    table: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return [row for row in table if row["codec"] == "toy"]


def test_captions_reach_the_sender_over_real_sockets_in_the_demo(
    feed: Path, tmp_path: Path
) -> None:
    """What is sent is what an encoder makes that was told the feed's caption, and it is decoded."""
    report = tmp_path / "report"
    words = command(
        *("demo", "--headless", "--feed", feed, "--codec", "toy", "--quality", QUALITY),
        *("--decoder", "processes", "--rate", 5, "--limit", 3, "--report", report),
    )
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, (done.stdout, done.stderr)
    found = json.loads((report / "report.json").read_text())
    assert (found["frames_decoded"], found["lost"], found["duplicated"]) == (2, 0, 0)
    (row,) = (row for row in read_feed(feed) if row.id == "kodim07")
    told, silent = (told_blob(feed, "kodim07", text) for text in (row.captions[0], None))
    (stream,) = (one for one in report.glob("streams/*.swi") if one.read_bytes() == told)
    seen = read_picture(report / "pictures" / f"{stream.stem}.r0.png").astype(int)
    heard, unheard = (get_codec("toy").decode(one).picture.astype(int) for one in (told, silent))
    assert np.abs(seen - heard).max() <= 1
    assert np.abs(seen - unheard).max() > 1
