"""Training of generators that read words: what a receiver holds, resumed exactly, exported as a codec."""

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
from shared.networks.matcher import MatcherSize
from shared.pictures import Picture, picture_from_bytes
from tests.codecs import Whole, whole
from training.captioned import CAPTIONS, CaptionedPictures
from training.command import Places, read_recipe, train_command
from training.data import PictureStore
from training.examples import CaptionedExamples, Crops
from training.frozen_stream import padded, received
from training.generator_run import GeneratorRun, Sources
from training.guard import TRUSTS, GuardConfig, TrustCurves, fit_trust, train_guard
from training.recipes.generator import GeneratorRecipe
from training.terms.grid import Grid
from training.terms.step import Batch, Step

SIDE = 64
SMALL_GUARD = MatcherSize(widths=(8, 8, 16, 16, 24), channels=1)
CONFIGS = Path(__file__).parents[1] / "training" / "configs"
#: The stream's two lowest levels, with an extra block in the generator.
TWO_LEVELS = {"levels": 2, "scales": [4, 4], "coarse": 320, "coarse_blocks": 4}


def config(**changes: object) -> GeneratorRecipe:
    settings = {
        "name": "ssa",
        "size": {"g_s": TWO_LEVELS, "token_width": 384},
        "train": "*.parquet",
        "validation": "*.parquet",
        "held_out": 2,
        "side": SIDE,
        "copy_batch": 1,
        "discriminator_steps": 1,
        "adversarial_steps": 3,
        "warmup_steps": 1,
        "grid_weight": 0.1,
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
    return whole(shipped_bundle("base"))


@pytest.fixture(scope="module")
def pictures(folder: Path) -> CaptionedPictures:
    cache = folder / "cache"
    return CaptionedPictures.load(folder, "*.parquet", cache, "minilm", 1, words=True)


@pytest.fixture(scope="module")
def sources(pictures: CaptionedPictures) -> Sources:
    return Sources(CaptionedExamples(pictures, 2, 0.15))


@pytest.fixture(scope="module")
def run(sources: Sources) -> GeneratorRun:
    """A run before its first step; tests leave it as it is."""
    return GeneratorRun(config(), sources)


def test_captions_come_as_vectors_five_a_picture(pictures: CaptionedPictures, folder: Path) -> None:
    vectors = pictures.vectors.astype(np.float32)
    assert vectors.shape == (8, CAPTIONS, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-2)
    # A picture with three captions repeats its own; and the second time they come from the cache.
    np.testing.assert_array_equal(vectors[1, 3], vectors[1, 0])
    again = CaptionedPictures.load(folder, "*.parquet", folder / "cache", "minilm", 1)
    np.testing.assert_array_equal(again.vectors, pictures.vectors)
    assert again.words is None


def test_words_come_one_by_one_and_make_up_the_sentence(pictures: CaptionedPictures) -> None:
    assert pictures.words is not None
    tokens, lengths = pictures.words.tokens, pictures.words.lengths
    assert tokens.shape[:2] == lengths.shape == (8, CAPTIONS)
    assert not tokens[2, 0, lengths[2, 0] :].any()
    mean = tokens[2, 0, : lengths[2, 0]].astype(np.float32).mean(0)
    # MiniLM's sentence is the mean of its tokens at unit length.
    np.testing.assert_allclose(mean / np.linalg.norm(mean), pictures.vectors[2, 0], atol=2e-3)


def test_latents_are_those_that_a_receiver_sees(run: GeneratorRun, stream: Whole) -> None:
    picture = run.sources.captioned.pictures.pictures[3]
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    found = received(run.parts, padded(x, 4), torch.tensor([1]), 4)
    container = stream.decoder.open(stream.encoder.encode_at(picture, 1).blob)
    symbols, _ = stream.decoder.symbols(container)
    seen = stream.decoder.latent.reconstruct([symbols], [container.header.quality])
    assert found.shape == seen.shape
    # Copies are made in floats here and of bytes there, so a few symbols fall on the other side.
    assert float(((found - seen).abs() > 0.1).float().mean()) < 0.02


def test_a_resumed_run_ends_where_an_unbroken_one_does(sources: Sources, tmp_path: Path) -> None:
    settings = config()
    unbroken, broken = GeneratorRun(settings, sources), GeneratorRun(settings, sources)
    before = [p.detach().clone() for p in unbroken.parts.g_s.parameters()]
    for _ in range(unbroken.steps):
        unbroken.train_step()
    for stop in (1, 3):
        while broken.step < stop:
            broken.train_step()
        broken.save(tmp_path / "checkpoint.pt")
        broken = GeneratorRun(settings, sources)
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
    assert sum(moved) > 0.7 * len(moved)  # what enlarges other scales has nothing to learn
    assert unbroken.done == {"discriminator": 1, "adversarial": 3}


def test_the_discriminator_learns_first_and_the_stream_never(sources: Sources) -> None:
    run = GeneratorRun(config(adversarial_steps=1), sources)
    models = (run.parts.g_s, run.discriminator, run.parts.g_a, run.parts.latent)
    learnt = []
    for _ in range(run.steps):
        before = [[p.detach().clone() for p in model.parameters()] for model in models]
        assert run.train_step() > 0
        learnt.append(
            tuple(
                any(not torch.equal(p, q) for p, q in zip(old, model.parameters(), strict=True))
                for old, model in zip(before, models, strict=True)
            )
        )
    assert learnt == [(False, True, False, False), (True, True, False, False)]


def test_every_term_begins_as_the_share_that_it_weighs(run: GeneratorRun) -> None:
    """Each is measured against the stream's own pictures, which the generator begins with."""
    names = list(run.reference)
    assert names == ["squared error", "features", "viewers"]
    found = run.measure(run.sources.captioned, 8)
    for name in names:
        assert np.mean(found[name]) == pytest.approx(1, abs=0.35)  # of few pictures
    assert found["own"] == pytest.approx([1, 1], abs=1e-3)


def test_the_twin_is_never_told_anything(sources: Sources, run: GeneratorRun) -> None:
    twin = GeneratorRun(config(generator_text=False, discriminator_text=False), sources)
    mine, theirs = (one.draw(7, "adversarial")[0].batch for one in (run, twin))
    assert torch.equal(mine.x, theirs.x)
    assert torch.equal(mine.quality, theirs.quality)
    assert mine.y_hat is not None
    assert theirs.y_hat is not None
    assert torch.equal(mine.y_hat, theirs.y_hat)
    given = twin.given(theirs)
    assert given.mask is not None
    assert not given.text.any()
    assert not given.mask.any()
    assert torch.equal(run.given(mine).text, mine.told.text)


def test_others_stand_behind_the_captioned_ones_without_words(
    pictures: CaptionedPictures, kodak: dict[str, Picture]
) -> None:
    store = PictureStore([*kodak.values()], "others")
    sources = Sources(CaptionedExamples(pictures, 2, 0.0), Crops(store))
    run = GeneratorRun(config(copy_batch=2, others_share=0.25), sources)
    (step,) = run.draw(0, "adversarial")
    assert step.batch.x.shape == (4, 3, 256, 256)
    assert step.batch.quality.tolist() == [0, 1, 0, 1]
    assert step.batch.captions is not None
    assert step.batch.mask is not None
    assert step.batch.captions.any(1).tolist() == [True, True, True, False]
    assert step.batch.mask.any(1).tolist() == [True, True, True, False]
    assert run.train_step() > 0


def test_each_scale_has_a_batch_of_its_own(sources: Sources) -> None:
    size = {"g_s": TWO_LEVELS | {"levels": 12, "scales": [4] * 8 + [2] * 3 + [1]}}
    run = GeneratorRun(config(size=size, copy_batch=1, batch=2), sources)
    steps = run.draw(0, "adversarial")
    assert [step.batch.scale for step in steps] == [4, 2, 1]
    assert [len(step.batch.x) for step in steps] == [8, 3, 2]
    assert [step.batch.x.shape[2] for step in steps] == [256, 128, 64]
    assert sum(step.batch.share for step in steps) == pytest.approx(1)
    for step in steps:
        assert step.batch.y_hat is not None
        assert step.batch.y_hat.shape[2:] == (4, 4)
        assert step.out.x_hat.shape == step.batch.x.shape


def test_what_ships_lies_between_the_stream_and_what_was_learnt(sources: Sources) -> None:
    run = GeneratorRun(config(learnt_share=0.5, enlarger_share=0.25), sources)
    start = {name: one.clone() for name, one in run.parts.g_s.state_dict().items()}
    with torch.no_grad():
        for parameter in run.averaged.parameters():
            parameter.add_(1)
    result = run.result().state_dict()
    for name, share in (("body.0.weight", 0.5), ("enlarge.4.0.0.weight", 0.25)):
        torch.testing.assert_close(result[name], start[name] + share)
    block = "at.coarse.gamma.outer.bias"
    torch.testing.assert_close(result[block], start[block] + 1)


def test_train_command_makes_a_codec(folder: Path, tmp_path: Path) -> None:
    guard = {
        "size": SMALL_GUARD.model_dump(),
        "steps": 2,
        "batch": 4,
        "pictures": 2,
        "fit_steps": 2,
    }
    settings = config(guard=guard).model_dump(mode="json") | {"kind": "generator"}
    path = tmp_path / "ssa.yaml"
    path.write_text(yaml.safe_dump(settings))
    places = Places(folder, tmp_path / "run", tmp_path / "bundle")
    train_command(path, places)
    assert (tmp_path / "run" / "adversarial.pt").exists()
    codec = load_codec("ssa", tmp_path / "bundle")
    assert codec.text is TextPlacement.DECODER
    picture: Picture = picture_from_bytes(next(iter(read_feed(KODAK_FEED))).image)[:64, :64]
    decoded = codec.decode(codec.encode(picture, 1).blob, "A door.")
    assert decoded.picture.shape == picture.shape
    assert decoded.trust is not None
    assert 0 < decoded.trust < 1
    path.write_text(yaml.safe_dump(settings | {"beta": 1}))
    with pytest.raises(SidewireError, match="beta: Extra inputs"):
        train_command(path, places)
    path.write_text(yaml.safe_dump(settings | {"kind": "poem"}))
    with pytest.raises(SidewireError, match="kind is 'poem', known are rate-distortion, generator"):
        train_command(path, places)


def test_shipped_configurations_are_valid() -> None:
    for name in ("ssa", "none"):
        recipe = read_recipe(CONFIGS / f"{name}.yaml")
        assert isinstance(recipe, GeneratorRecipe)
        assert recipe.generator_text is (name != "none")
    mine, twin = (read_recipe(CONFIGS / f"{name}.yaml").model_dump() for name in ("ssa", "none"))
    differing = {key for key, value in mine.items() if twin[key] != value}
    assert differing == {"name", "size", "generator_text", "discriminator_text"}


def test_the_grid_term_sees_a_fixed_pattern_and_nothing_else() -> None:
    def term(error: torch.Tensor) -> float:
        batch = Batch(torch.full((1, 3, 64, 64), 0.5), torch.zeros(1, dtype=torch.int64))
        made = Pass(batch.x + error, torch.zeros(1), None)
        return Grid(4)(Step(0, batch, lambda _: made, learns=False)).item()

    pattern = torch.zeros(4, 4)
    pattern[::2, ::2] = 4 / 255
    assert term(pattern.repeat(16, 16)) == pytest.approx(16 * (1 / 4 - 1 / 16))
    assert term(torch.full((64, 64), 4 / 255)) == pytest.approx(0, abs=1e-6)
    noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)) * 4 / 255
    assert term(noise) < 16 / 32


# The guard


def test_a_guard_learns_which_words_belong(run: GeneratorRun) -> None:
    settings = GuardConfig(
        size=SMALL_GUARD, steps=60, batch=6, warmup_steps=2, fit_steps=5, pictures=2, stride=1
    )
    guard = train_guard(run, settings)
    assert guard.slope.shape == guard.threshold.shape == (2,)
    scores = []
    with torch.no_grad():
        for by in (0, 3):
            batch = run.told(run.sources.captioned, range(6), 1, by)
            assert batch.y_hat is not None
            assert batch.text is not None
            thumbnail = run.averaged.thumbnail(batch.y_hat, batch.quality, guard.side)
            scores.append(float(guard.score(thumbnail, batch.text).mean()))
    assert scores[0] > scores[1] + 0.1


def test_trust_is_fitted_to_what_it_costs() -> None:
    """Own captions lower the error and score high, wrong ones raise it and score low."""
    trusts = torch.tensor(TRUSTS)
    scores = torch.linspace(0.3, 0.7, 50)
    own = TrustCurves(scores, 1 - 0.05 * trusts.repeat(50, 1))
    wrong = TrustCurves(scores - 0.4, 1 + 0.2 * trusts.repeat(50, 1))
    slope, threshold = fit_trust([(0.5, own), (0.5, wrong)], 20.0, 400)
    assert float(torch.sigmoid(slope * (own.scores - threshold)).mean()) > 0.9
    assert float(torch.sigmoid(slope * (wrong.scores - threshold)).mean()) < 0.1
