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
from shared.bundle import shipped_bundle
from shared.codecs import TextPlacement, load_codec
from shared.codecs.parts import Pass
from shared.errors import SidewireError
from shared.feed import read_feed
from shared.networks.guard import Guard
from shared.networks.matcher import MatcherSize
from shared.pictures import Picture, picture_from_bytes
from tests.codecs import Whole, whole
from training.captioned import CAPTIONS, CaptionedPictures
from training.command import Places, read_recipe, train_command
from training.generator_data import GeneratorData
from training.guard import TRUSTS, GuardConfig, TrustCurves, fit_trust, train_guard
from training.recipes.generator import GeneratorRecipe, GeneratorRun
from training.terms.grid import Grid
from training.terms.step import Batch, Step

SIDE = 64
SMALL_GUARD = MatcherSize(widths=(8, 8, 16, 16, 24), channels=1)
CONFIGS = Path(__file__).parents[1] / "training" / "configs"


def config(**changes: object) -> GeneratorRecipe:
    settings = {
        "name": "ssa",
        "size": {"g_s": {"levels": 2, "coarse_blocks": 4}},
        "train": "*.parquet",
        "validation": "*.parquet",
        "held_out": 2,
        "batch": 2,
        "distortion_steps": 3,
        "discriminator_steps": 1,
        "adversarial_steps": 2,
        "warmup_steps": 1,
    }
    return GeneratorRecipe.model_validate(settings | changes)


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
def stream() -> Whole:
    return whole(shipped_bundle("base-1"))


@pytest.fixture(scope="module")
def data(folder: Path, stream: Whole) -> GeneratorData:
    pictures = CaptionedPictures.load(folder, "*.parquet", folder / "cache", "minilm", 1)
    return GeneratorData.load(stream.encoder, 2, pictures, folder / "cache")


def test_captions_come_as_vectors_five_a_picture(data: GeneratorData, folder: Path) -> None:
    vectors = data.pictures.vectors.astype(np.float32)
    assert vectors.shape == (8, CAPTIONS, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-2)
    # A picture with three captions repeats its own; and the second time they come from the cache.
    np.testing.assert_array_equal(vectors[1, 3], vectors[1, 0])
    again = CaptionedPictures.load(folder, "*.parquet", folder / "cache", "minilm", 1)
    np.testing.assert_array_equal(again.vectors, data.pictures.vectors)


def test_latents_are_those_that_a_receiver_sees(data: GeneratorData, stream: Whole) -> None:
    container = stream.decoder.open(stream.encode(data.pictures.pictures[3], 1).blob)
    symbols, _ = stream.decoder.symbols(container)
    seen = stream.decoder.latents(symbols, container.header)
    np.testing.assert_allclose(data.latents[1][3], seen[0].numpy(), atol=2e-2, rtol=2e-3)


def test_a_resumed_run_ends_where_an_unbroken_one_does(data: GeneratorData, tmp_path: Path) -> None:
    settings = config()
    unbroken, broken = GeneratorRun(settings, data), GeneratorRun(settings, data)
    before = [p.detach().clone() for p in unbroken.parts.g_s.parameters()]
    for _ in range(unbroken.steps):
        unbroken.train_step()
    for stop in (2, 4, 5):
        while broken.step < stop:
            broken.train_step()
        broken.save(tmp_path / "checkpoint.pt")
        broken = GeneratorRun(settings, data)
        broken.load(tmp_path / "checkpoint.pt")
    while broken.step < broken.steps:
        broken.train_step()
    for mine, theirs in zip(
        unbroken.averaged.parameters(), broken.averaged.parameters(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    moved = [
        not torch.equal(old, new)
        for old, new in zip(before, unbroken.parts.g_s.parameters(), strict=True)
    ]
    assert sum(moved) > 0.9 * len(moved)


def test_between_the_phases_the_discriminator_learns_alone(data: GeneratorData) -> None:
    settings = config(distortion_steps=1, discriminator_steps=1, adversarial_steps=1)
    run = GeneratorRun(settings, data)
    learnt = []
    for _ in range(run.steps):
        models = (run.parts.g_s, run.discriminator)
        before = [[p.detach().clone() for p in model.parameters()] for model in models]
        assert run.train_step() > 0
        learnt.append(
            tuple(
                any(not torch.equal(p, q) for p, q in zip(old, model.parameters(), strict=True))
                for old, model in zip(before, models, strict=True)
            )
        )
    assert learnt == [(True, False), (False, True), (True, True)]


def test_the_twin_is_never_told_anything(data: GeneratorData) -> None:
    twin = GeneratorRun(config(generator_text=False, discriminator_text=False), data)
    batch = data.draw(twin.how, 0, 2)
    assert batch.captions is not None
    assert bool(batch.captions.abs().sum(1).gt(0).all())
    assert float(twin.given(batch).text.abs().max()) == 0
    told = GeneratorRun(config(), data)
    assert torch.equal(told.given(batch).text, batch.text)


def test_both_variants_see_the_same_pictures(data: GeneratorData) -> None:
    runs = [GeneratorRun(config(generator_text=told), data) for told in (True, False)]
    mine, theirs = (run.draw(7, "distortion").batch for run in runs)
    assert torch.equal(mine.x, theirs.x)
    assert torch.equal(mine.quality, theirs.quality)


def test_settling_begins_between_the_start_and_what_was_learnt(data: GeneratorData) -> None:
    """And sees pictures of other scales, which have no words, among the captioned ones."""
    settings = config(
        settling_steps=1, settling_share=0.5, settling_weights=(1.0, 2.0), scaled=1, batch=3
    )
    run = GeneratorRun(settings, data, data)
    name = "body.0.weight"
    start = run.parts.g_s.state_dict()[name].clone()
    for _ in range(run.steps - 1):
        run.train_step()
    learnt = run.averaged.state_dict()[name].clone()
    (*_, phase) = run.phases
    assert phase.begin is not None
    phase.begin()
    torch.testing.assert_close(run.parts.g_s.state_dict()[name], (start + learnt) / 2)
    assert run.train_step() > 0
    assert run.done["settling"] == 1
    assert len(run.draw(run.step, "settling").batch.x) == 3


def test_train_command_makes_a_codec(folder: Path, tmp_path: Path) -> None:
    settings = config(guard=False).model_dump(mode="json") | {"kind": "generator"}
    path = tmp_path / "ssa.yaml"
    path.write_text(yaml.safe_dump(settings))
    places = Places(folder, tmp_path / "run", tmp_path / "bundle")
    train_command(path, places)
    assert (tmp_path / "run" / "distortion.pt").exists()
    codec = load_codec("ssa", tmp_path / "bundle")
    assert codec.text is TextPlacement.DECODER
    picture: Picture = picture_from_bytes(next(iter(read_feed(KODAK_FEED))).image)[:64, :64]
    assert codec.decode(codec.encode(picture, 1).blob, "A door.").picture.shape == picture.shape
    path.write_text(yaml.safe_dump(settings | {"beta": 1}))
    with pytest.raises(SidewireError, match="beta: Extra inputs"):
        train_command(path, places)
    path.write_text(yaml.safe_dump(settings | {"kind": "poem"}))
    with pytest.raises(SidewireError, match="kind is 'poem', known are rate-distortion, generator"):
        train_command(path, places)


def test_shipped_configurations_are_valid() -> None:
    for name in ("ssa", "none", "colour"):
        recipe = read_recipe(CONFIGS / f"{name}.yaml")
        assert isinstance(recipe, GeneratorRecipe)
        assert recipe.generator_text is (name != "none")
    mine, twin = (read_recipe(CONFIGS / f"{name}.yaml").model_dump() for name in ("ssa", "none"))
    differing = {key for key, value in mine.items() if twin[key] != value}
    assert differing == {"name", "generator_text", "discriminator_text"}


def test_steps_count_where_they_were_made(data: GeneratorData) -> None:
    run = GeneratorRun(config(), data)
    for _ in range(5):
        run.train_step()
    assert run.done == {"distortion": 3, "discriminator": 1, "adversarial": 1}


def test_the_grid_term_sees_a_fixed_pattern_and_nothing_else() -> None:
    def term(error: torch.Tensor) -> float:
        batch = Batch(torch.full((1, 3, 64, 64), 0.5), torch.zeros(1, dtype=torch.int64))
        made = Pass(batch.x + error, torch.zeros(1), None)
        return Grid(1.0)(Step(0, batch, lambda _: made, learns=False)).item()

    pattern = torch.zeros(4, 4)
    pattern[::2, ::2] = 4 / 255
    assert term(pattern.repeat(16, 16)) == pytest.approx(16 * (1 / 4 - 1 / 16))
    assert term(torch.full((64, 64), 4 / 255)) == pytest.approx(0, abs=1e-6)
    noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)) * 4 / 255
    assert term(noise) < 16 / 32


# The guard


def test_a_guard_learns_which_words_belong(data: GeneratorData) -> None:
    run = GeneratorRun(config(), data)
    settings = GuardConfig(size=SMALL_GUARD, steps=60, batch=6, warmup_steps=2, fit_steps=5)
    guard = train_guard(run.guard_data(), settings)
    index = np.arange(6)
    own = data.pictures.vectors[index, 0]
    told = np.ones(6, np.bool_)
    scores = []
    with torch.no_grad():
        for captions in (own, np.roll(own, 3, 0)):
            batch = data.batch(index, index % 2, captions, told, run.device)
            assert batch.y_hat is not None
            assert batch.text is not None
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
