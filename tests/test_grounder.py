"""Grounders: where things are, by the shipped matcher and by a CLIP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shared.pictures import Picture
from shared.telling.clip_grounder import OpenClipGrounder
from shared.telling.grounder import MatcherGrounder, SurgeryGrounder, map_shape
from shared.telling.telling import Item
from shared.text.interface import TextWeightsError, UnknownTextEncoderError
from shared.text.registry import get_text_encoder
from tests.text_models import make_clip


@pytest.fixture(scope="module")
def matcher() -> MatcherGrounder:
    return MatcherGrounder()


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [(512, 768, (11, 16)), (768, 512, (16, 11)), (1, 8192, (8, 16)), (1, 1, (16, 16))],
)
def test_maps_have_the_pictures_shape(height: int, width: int, shape: tuple[int, int]) -> None:
    assert map_shape(height, width) == shape


def halves() -> Picture:
    """Grass below, sky above."""
    rng = np.random.default_rng(4)
    picture = rng.normal(0, 12, (192, 256, 3)) + np.array([120, 170, 235])
    picture[96:] = rng.normal(0, 30, (96, 256, 1)) + np.array([60, 130, 40])
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_the_shipped_matcher_tells_grass_from_sky(matcher: MatcherGrounder) -> None:
    grass, sky = matcher.ground(halves(), ["green grass", "blue sky"])
    assert grass.shape == sky.shape == (12, 16)
    assert grass[6:].mean() > grass[:6].mean() + 0.3
    assert sky[:6].mean() > sky[6:].mean() + 0.3


def test_maps_are_items_maps_whatever_the_picture(matcher: MatcherGrounder) -> None:
    names = ["dog", "naïve 犬", "dog"]
    for shape in ((1, 1), (3, 400), (700, 20)):
        picture = np.full((*shape, 3), 90, np.uint8)
        maps = matcher.ground(picture, names)
        again = matcher.ground(picture, names)
        assert all(np.array_equal(one, other) for one, other in zip(maps, again, strict=True))
        assert np.array_equal(maps[0], maps[2])
        for place in maps:
            assert place.any()
            assert Item("thing", "", place).map is not None
    assert matcher.ground(picture, []) == []


class Stripes(SurgeryGrounder):
    """Sees a direction a column: of the encoder's own words for them."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(get_text_encoder())
        self.columns = self._words(names)

    def views(self, picture: Picture, shape: tuple[int, int]) -> list[torch.Tensor]:
        owners = torch.arange(shape[1]) * len(self.columns) // shape[1]
        return [self.columns[owners].T[:, None].expand(-1, shape[0], -1)]


def test_each_name_has_the_places_that_answer_to_it() -> None:
    names = ["a dog", "an aeroplane"]
    left, right = Stripes(names).ground(np.zeros((64, 64, 3), np.uint8), names)
    assert left[:, :8].all()
    assert not left[:, 8:].any()
    assert np.array_equal(right, ~left)


def test_a_clip_grounds_too(tmp_path: Path) -> None:
    source = str(make_clip(tmp_path / "clip"))
    grounder = OpenClipGrounder(source)
    maps = grounder.ground(halves(), ["dog", "sky"])
    again = OpenClipGrounder(source).ground(halves(), ["dog", "sky"])
    assert [one.shape for one in maps] == [(12, 16)] * 2
    assert all(one.any() for one in maps)
    assert all(np.array_equal(one, other) for one, other in zip(maps, again, strict=True))
    with pytest.raises(UnknownTextEncoderError):
        OpenClipGrounder("no-such-model")
    with pytest.raises(TextWeightsError):
        OpenClipGrounder(f"ViT-B-32@{tmp_path / 'missing'}")
