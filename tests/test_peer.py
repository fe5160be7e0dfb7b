"""CompressAI's model trained by our recipe: resumed, measured from real strings, and set beside ours."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from cluster.bench.peer_quality import PUBLISHED, peer_quality
from shared.metrics import psnr
from shared.peer_curve import PeerCurve
from shared.pictures import Picture
from training.data import PictureStore
from training.recipe import Places
from training.recipes.peer import PeerRecipe, PeerRun, coded

FEED = "pictures.parquet"
LAMBDAS = (0.05, 0.01)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, kodak: dict[str, Picture]) -> Path:
    """Two crops of the shipped pictures: for five scales of MS-SSIM, and no multiple of 64."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for name, picture in list(kodak.items())[:2]:
        buffer = io.BytesIO()
        Image.fromarray(picture[:200, :216]).save(buffer, "PNG")
        rows.append({"id": name, "image": buffer.getvalue(), "captions": [""]})
    pq.write_table(pa.Table.from_pylist(rows), folder / FEED)
    return folder


@pytest.fixture(scope="module")
def config() -> PeerRecipe:
    return PeerRecipe(
        name="small",
        quality=1,
        lambdas=list(LAMBDAS),
        train=[FEED],
        validation=FEED,
        test=FEED,
        crop=64,
        batch=1,
        steps=3,
        more_steps=2,
        warmup_steps=0,
    )


@pytest.fixture(scope="module")
def store(data: Path) -> PictureStore:
    return PictureStore.load(data, [FEED], smallest=64, workers=1)


def test_a_resumed_run_equals_an_unbroken_one(
    config: PeerRecipe, store: PictureStore, tmp_path: Path
) -> None:
    unbroken = PeerRun(config, store, LAMBDAS[0], 3)
    losses = [unbroken.train_step() for _ in range(2)]
    unbroken.save(tmp_path / "checkpoint.pt")
    losses.append(unbroken.train_step())
    resumed = PeerRun(config, store, LAMBDAS[0], 3)
    resumed.load(tmp_path / "checkpoint.pt")
    assert resumed.step == 2
    assert resumed.cpu_seconds > 0
    assert resumed.train_step() == losses[2]
    pairs = zip(unbroken.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_run_is_a_curve_of_real_strings(config: PeerRecipe, data: Path, tmp_path: Path) -> None:
    """Each further point goes on from the first, whose steps and hours are behind it too."""
    places = Places(data, tmp_path / "run", tmp_path / "curves", workers=1)
    config.carry_out(places)
    made = PeerCurve.read(tmp_path / "curves" / "small.json")
    by_lambda = {point.lmbda: point for point in made.points}
    assert set(by_lambda) == set(LAMBDAS)
    first, second = (by_lambda[one] for one in LAMBDAS)
    assert (first.steps, second.steps) == (3, 5)
    assert second.cpu_hours >= first.cpu_hours
    assert [point.bpp for point in made.points] == sorted(point.bpp for point in made.points)
    assert all(point.bpp > 0 and 5 < point.psnr < 60 for point in made.points)
    # Nothing is left to do: the same again, from the checkpoints alone.
    config.carry_out(places)
    assert PeerCurve.read(tmp_path / "curves" / "small.json") == made


def test_a_picture_is_coded_at_its_true_size(
    config: PeerRecipe, store: PictureStore, kodak: dict[str, Picture]
) -> None:
    model = PeerRun(config, store, LAMBDAS[0], 1).model.eval()
    model.update(force=True)
    picture = next(iter(kodak.values()))[:70, :90]
    size, decoded = coded(model, picture)
    assert decoded.shape == picture.shape
    assert size > 4
    assert psnr(picture, decoded) > 3


def test_our_curve_is_better_than_a_peers_that_was_trained_as_long() -> None:
    """What the speed is compared at; the peer has had no less of the processor than ours."""
    found = peer_quality("base-1")
    assert found is not None
    assert min(found.peer_hours) >= found.hours
    assert len(found.trained) == 3
    assert found.against_trained is not None
    assert found.against_trained < 0
    # A day of a GPU is another matter: the published curve is better, and said to be.
    assert found.published is PUBLISHED
    assert found.against_published is not None
    assert found.against_published > 0


def test_codecs_without_a_curve_have_none() -> None:
    assert peer_quality("ssa") is None
    assert peer_quality("baseline/jpeg") is None
