"""Matchers: what they learn, what a bundle keeps of them, and the distance on their maps."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from shared.bundle import MatcherManifest, Provenance, read_manifest, shipped_bundle
from shared.errors import BundleError
from shared.feed import read_feed
from shared.matcher_bundle import load_matcher, save_matcher
from shared.metrics.matching import FEATURES, JUDGE, FeatureReference, judge_scores
from shared.networks.matcher import Matcher, MatcherSize, feature_distance
from shared.pictures import Picture, picture_from_bytes
from training.contrast import Contrast, ContrastSettings
from training.recipes.matcher import retrieval
from training.terms.contrastive import contrastive_loss

KODAK8 = Path(__file__).parents[1] / "cluster" / "feeds" / "kodak8.parquet"
SMALL = MatcherSize(widths=(8, 8, 16, 16, 24), dim=12, side=48)


@pytest.fixture(scope="module")
def kodak() -> list[tuple[Picture, tuple[str, ...]]]:
    return [(picture_from_bytes(row.image), row.captions) for row in read_feed(KODAK8)]


def degraded(picture: Picture, noise: float) -> Picture:
    grain = np.random.default_rng(3).normal(0, noise, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def test_contrastive_loss_knows_pairs() -> None:
    eye = torch.eye(6)
    cold = torch.tensor(math.log(50.0))
    assert contrastive_loss(eye, eye, cold) < 1e-6
    assert contrastive_loss(eye, eye.roll(1, 0), cold) > 10
    same = torch.ones(6, 3) / math.sqrt(3)
    assert contrastive_loss(same, same, cold) == pytest.approx(math.log(6))


def test_matcher_accepts_any_size_and_gives_unit_vectors() -> None:
    model = Matcher(SMALL).eval()
    vectors = model(torch.rand(2, 3, 61, 35))
    assert vectors.shape == (2, 12)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2))
    shapes = [tuple(found.shape[1:]) for found in model.feature_maps(torch.rand(1, 3, 61, 35))]
    assert shapes == [(8, 31, 18), (8, 16, 9), (16, 8, 5), (16, 4, 3), (24, 2, 2)]


def test_a_step_is_repeatable_and_steps_lower_the_loss() -> None:
    """Pictures of one colour each, and a vector a colour: learnt in seconds, if anything is."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(0, 255, (24, 3, 1, 1), generator=generator, dtype=torch.uint8)
    pictures = colours.expand(-1, -1, 48, 48).contiguous()
    sentences = torch.randn(24, 1, 12, generator=generator)
    settings = ContrastSettings(
        seed=3,
        size=SMALL,
        steps=60,
        batch=24,
        crop=40,
        warmup_steps=5,
    )
    run, again = (Contrast(settings, pictures[None], sentences) for _ in range(2))
    losses = [run.train_step() for _ in range(60)]
    assert [again.train_step() for _ in range(2)] == losses[:2]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    found = retrieval(run.model, pictures, sentences)
    assert found.r1 > 4 / 24
    assert found.cosine > found.cosine_mismatched
    assert found.cosine > found.cosine_grey


def manifest() -> MatcherManifest:
    figures = Provenance(config="tiny", config_digest="", data_digest="", seed=0, steps={}, hours=0)
    return MatcherManifest(codec="tiny", size=SMALL, text_encoder="minilm", provenance=figures)


def test_bundle_keeps_the_function_and_refuses_damage(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Matcher(SMALL)
    model(torch.rand(8, 3, 48, 48))  # moves the running statistics
    save_matcher(tmp_path, manifest(), model.state_dict())
    loaded, _ = load_matcher(tmp_path)
    x = torch.rand(4, 3, 48, 48)
    with torch.inference_mode():
        assert (loaded(x) * model.eval()(x)).sum(1).min() > 0.999  # weights were rounded to int8
    assert not any(p.requires_grad for p in loaded.parameters())
    assert not loaded.training

    wrong = manifest().model_copy(update={"size": MatcherSize(widths=(8, 8, 16, 16, 32), dim=12)})
    save_matcher(tmp_path, wrong, model.state_dict())
    with pytest.raises(BundleError, match="size mismatch"):
        load_matcher(tmp_path)
    data = bytearray((tmp_path / "tensors.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "tensors.safetensors").write_bytes(bytes(data))
    with pytest.raises(BundleError, match="does not match its hash"):
        load_matcher(tmp_path)


@pytest.mark.parametrize("name", [JUDGE, FEATURES])
def test_shipped_matcher_is_small_and_far_better_than_chance(name: str) -> None:
    folder = shipped_bundle(name)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 2_000_000
    found = read_manifest(folder).provenance.retrieval
    assert found is not None
    assert found.r10 > 8 * 10 / found.pictures
    assert found.r10_grey < found.r10
    assert found.cosine > found.cosine_mismatched


def test_judge_and_features_were_trained_apart() -> None:
    judge, features = (read_manifest(shipped_bundle(name)) for name in (JUDGE, FEATURES))
    assert isinstance(judge, MatcherManifest)
    assert isinstance(features, MatcherManifest)
    assert judge.provenance.seed != features.provenance.seed
    assert judge.size.widths != features.size.widths


def test_judge_prefers_true_captions_and_true_colours(
    kodak: list[tuple[Picture, tuple[str, ...]]],
) -> None:
    own, other, wrong_colours = [], [], []
    for index, (picture, captions) in enumerate(kodak):
        strangers = kodak[(index + 1) % len(kodak)][1]
        own.append(np.mean(judge_scores(picture, captions)))
        other.append(np.mean(judge_scores(picture, strangers)))
        turned = np.ascontiguousarray(picture[:, :, ::-1])
        wrong_colours.append(np.mean(judge_scores(turned, captions)))
    assert np.mean(own) > np.mean(other) + 0.05
    assert np.mean(own) > np.mean(wrong_colours)
    assert judge_scores(kodak[0][0], ()) == ()


def test_feature_distance_is_zero_for_equal_and_rises_with_damage(
    kodak: list[tuple[Picture, tuple[str, ...]]],
) -> None:
    picture = kodak[0][0][:256, :256]
    reference = FeatureReference(picture)
    distances = [reference.distance(degraded(picture, noise)) for noise in (4, 12, 36)]
    assert reference.distance(picture) == 0
    assert 0 < distances[0] < distances[1] < distances[2] <= 2
    small = Image.fromarray(picture).resize((32, 32))
    blurred = np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC))
    grey = np.repeat(picture.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert reference.distance(blurred) > distances[0]
    assert reference.distance(grey) > 0
    with pytest.raises(ValueError, match="different size"):
        reference.distance(picture[:128])


def test_feature_distance_is_cheap_symmetric_and_has_a_gradient() -> None:
    model, _ = load_matcher(shipped_bundle(FEATURES))
    with FlopCounterMode(display=False) as counter:
        model.feature_maps(torch.zeros(1, 3, 224, 224))
    assert counter.get_total_flops() / 2 <= 1e9
    torch.manual_seed(0)
    a, b = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64, requires_grad=True)
    maps_a, maps_b = model.feature_maps(a), model.feature_maps(b)
    distance = feature_distance(maps_a, maps_b)
    assert distance.shape == (2,)
    assert torch.allclose(distance, feature_distance(maps_b, maps_a))
    distance.sum().backward()
    assert b.grad is not None
    assert torch.isfinite(b.grad).all()
    assert b.grad.abs().max() > 0
    black = torch.zeros(1, 3, 64, 64, requires_grad=True)
    feature_distance(model.feature_maps(black), model.feature_maps(black.detach())).backward()
    assert black.grad is not None
    assert torch.isfinite(black.grad).all()
