"""Training of generators that read words: frozen latents, resumed exactly, exported as a codec."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

from cluster.feeds import KODAK_FEED
from shared.codecs import get_codec, load_codec
from shared.codecs.base import HyperpriorCodec
from shared.codecs.interface import TextPlacement
from shared.codecs.ssa import SsaCodec
from shared.errors import SidewireError
from shared.feed import read_feed
from shared.networks.guard import Guard
from shared.networks.matcher import MatcherSize
from shared.pictures import Picture, picture_from_bytes
from training.captioned import CAPTIONS, CaptionedPictures
from training.command import Places, train_command
from training.guard import TRUSTS, GuardConfig, TrustCurves, fit_trust, train_guard
from training.stage2 import GeneratorData, Stage2Run
from training.stage2_config import Stage2Config
from training.stage2_run import feature_perceptual

SIDE = 64
SMALL_GUARD = MatcherSize(widths=(8, 8, 16, 16, 24), channels=1)
CONFIGS = Path(__file__).parents[1] / "training" / "configs"


def config(**changes: object) -> Stage2Config:
    settings = {
        "name": "ssa",
        "levels": [{"quality": 1}, {"quality": 3}],
        "size": {"levels": 2},
        "train": "*.parquet",
        "validation": "*.parquet",
        "held_out": 2,
        "batch": 2,
        "distortion_steps": 3,
        "discriminator_steps": 1,
        "adversarial_steps": 2,
        "warmup_steps": 1,
    }
    return Stage2Config.model_validate(settings | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of the shipped Kodak pictures with their captions."""
    folder = tmp_path_factory.mktemp("captioned")
    rows = []
    for row in read_feed(KODAK_FEED):
        buffer = io.BytesIO()
        Image.fromarray(picture_from_bytes(row.image)[:SIDE, :SIDE]).save(buffer, "PNG")
        captions = list(row.captions)[: 3 if rows else 5]
        rows.append({"id": row.id, "image": buffer.getvalue(), "captions": captions})
    pq.write_table(pa.Table.from_pylist(rows), folder / "pictures.parquet")
    return folder


@pytest.fixture(scope="module")
def stream() -> HyperpriorCodec:
    codec = get_codec("base")
    assert isinstance(codec, HyperpriorCodec)
    return codec


@pytest.fixture(scope="module")
def data(folder: Path, stream: HyperpriorCodec) -> GeneratorData:
    pictures = CaptionedPictures.load(folder, "*.parquet", folder / "cache", "minilm", 1)
    return GeneratorData.load(config(), stream, pictures, folder / "cache")


def fresh(stream: HyperpriorCodec, settings: Stage2Config) -> Stage2Run:
    perceptual = feature_perceptual(settings.features, torch.device("cpu"))
    return Stage2Run(settings, stream.g_s, perceptual, torch.device("cpu"))


def test_captions_come_as_vectors_five_a_picture(data: GeneratorData, folder: Path) -> None:
    vectors = data.pictures.vectors.astype(np.float32)
    assert vectors.shape == (8, CAPTIONS, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-2)
    # A picture with three captions repeats its own; and the second time they come from the cache.
    np.testing.assert_array_equal(vectors[1, 3], vectors[1, 0])
    again = CaptionedPictures.load(folder, "*.parquet", folder / "cache", "minilm", 1)
    np.testing.assert_array_equal(again.vectors, data.pictures.vectors)


def test_latents_are_those_that_a_receiver_sees(
    data: GeneratorData, stream: HyperpriorCodec
) -> None:
    ssa = get_codec("ssa")
    assert isinstance(ssa, SsaCodec)
    level = config().levels[1]
    quality = ssa.levels.index(level)
    blob = ssa.encode(data.pictures.pictures[3], quality).blob
    seen = stream.latents.reconstruct(stream.unseal(ssa.open(blob), level.quality), level.quality)
    np.testing.assert_allclose(data.latents[1][3], seen[0].numpy(), atol=2e-2, rtol=2e-3)


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    data: GeneratorData, stream: HyperpriorCodec, tmp_path: Path
) -> None:
    settings = config()
    whole, broken = fresh(stream, settings), fresh(stream, settings)
    before = [p.detach().clone() for p in whole.generator.parameters()]
    for _ in range(settings.steps):
        whole.train_step(data)
    for stop in (2, 4, 5):
        while broken.step < stop:
            broken.train_step(data)
        broken.save(tmp_path / "checkpoint.pt")
        broken = fresh(stream, settings)
        broken.load(tmp_path / "checkpoint.pt")
    while broken.step < settings.steps:
        broken.train_step(data)
    for mine, theirs in zip(whole.averaged.parameters(), broken.averaged.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    moved = [
        not torch.equal(old, new)
        for old, new in zip(before, whole.generator.parameters(), strict=True)
    ]
    assert sum(moved) > 0.9 * len(moved)


def test_between_the_phases_the_discriminator_learns_alone(
    data: GeneratorData, stream: HyperpriorCodec
) -> None:
    settings = config(distortion_steps=1, discriminator_steps=1, adversarial_steps=1)
    run = fresh(stream, settings)
    learnt = []
    for _ in range(settings.steps):
        models = (run.generator, run.discriminator)
        before = [[p.detach().clone() for p in model.parameters()] for model in models]
        assert run.train_step(data) > 0
        learnt.append(
            tuple(
                any(not torch.equal(p, q) for p, q in zip(old, model.parameters(), strict=True))
                for old, model in zip(before, models, strict=True)
            )
        )
    assert learnt == [(True, False), (False, True), (True, True)]


def test_the_twin_is_never_told_anything(data: GeneratorData, stream: HyperpriorCodec) -> None:
    twin = fresh(stream, config(generator_text=False, discriminator_text=False))
    batch = data.draw(twin.config, 0, twin.device)
    assert bool(batch.captions.abs().sum(1).gt(0).all())
    assert float(twin.words(batch.captions).text.abs().max()) == 0
    told = fresh(stream, config())
    assert torch.equal(told.words(batch.captions).text, batch.captions)


def test_both_variants_see_the_same_pictures(data: GeneratorData) -> None:
    mine = data.draw(config(), 7, torch.device("cpu"))
    theirs = data.draw(config(generator_text=False), 7, torch.device("cpu"))
    assert torch.equal(mine.x, theirs.x)
    assert torch.equal(mine.quality, theirs.quality)


def test_train_command_makes_a_codec(folder: Path, tmp_path: Path) -> None:
    settings = config(guard=False).model_dump(mode="json") | {"kind": "generator"}
    path = tmp_path / "ssa.yaml"
    path.write_text(yaml.safe_dump(settings))
    places = Places(folder, tmp_path / "run", tmp_path / "bundle")
    train_command(path, places)
    assert (tmp_path / "run" / "distortion.pt").exists()
    codec = load_codec("ssa", tmp_path / "bundle")
    assert isinstance(codec, SsaCodec)
    assert codec.text is TextPlacement.DECODER
    picture: Picture = picture_from_bytes(next(iter(read_feed(KODAK_FEED))).image)[:64, :64]
    assert codec.decode(codec.encode(picture, 1).blob, "A door.").picture.shape == picture.shape
    path.write_text(yaml.safe_dump(settings | {"beta": 1}))
    with pytest.raises(SidewireError, match="beta: Extra inputs"):
        train_command(path, places)
    path.write_text(yaml.safe_dump(settings | {"kind": "poem"}))
    with pytest.raises(SidewireError, match="kind is 'poem'"):
        train_command(path, places)


def test_shipped_configurations_are_valid() -> None:
    for name in ("ssa", "none", "colour"):
        settings = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
        assert settings.pop("kind") == "generator"
        loaded = Stage2Config.model_validate(settings)
        assert loaded.generator_text is (name != "none")
        assert loaded.size.levels == len(loaded.levels)
        rates = np.array([loaded.rate_factor(step) for step in range(loaded.steps)])
        waits = slice(loaded.distortion_steps, loaded.adversarial_from)
        assert not rates[waits].any()
        assert np.delete(rates, waits).min() > 0
        assert rates.max() <= 1


# The guard


def test_a_guard_learns_which_words_belong(data: GeneratorData, stream: HyperpriorCodec) -> None:
    run = fresh(stream, config())
    settings = GuardConfig(size=SMALL_GUARD, steps=60, batch=6, warmup_steps=2, fit_steps=5)
    guard = train_guard(run, data, settings)
    index = np.arange(6)
    own = data.pictures.vectors[index, 0]
    told = np.ones(6, np.bool_)
    scores = []
    with torch.no_grad():
        for captions in (own, np.roll(own, 3, 0)):
            batch = data.batch(index, index % 2, captions, told, run.device)
            thumbnail = run.averaged.thumbnail(batch.y_hat, batch.quality, guard.side)
            scores.append(float(guard.score(thumbnail, batch.text).mean()))
    assert scores[0] > scores[1] + 0.1


def test_trust_is_fitted_to_what_it_costs() -> None:
    """Own captions lower the error and score high, wrong ones raise it and score low."""
    guard = Guard(SMALL_GUARD)
    trusts = torch.tensor(TRUSTS)
    scores = torch.linspace(0.3, 0.7, 50)
    matched = TrustCurves(scores, 1 - 0.05 * trusts.repeat(50, 1))
    wrong = TrustCurves(scores - 0.4, 1 + 0.2 * trusts.repeat(50, 1))
    fit_trust(guard, matched, wrong, GuardConfig(wrong=0.5))
    slope, threshold = guard.slope.detach(), guard.threshold.detach()
    assert float(torch.sigmoid(slope * (matched.scores - threshold)).mean()) > 0.9
    assert float(torch.sigmoid(slope * (wrong.scores - threshold)).mean()) < 0.1
