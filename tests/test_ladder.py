"""The ladder: which copy of a picture a level codes, and that it comes back at the picture's size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codecs.ladder import PREVIEW_EDGE, Ladder, Rung
from shared.errors import QualityError
from shared.networks.transforms import Z_STRIDE
from shared.pictures import Picture

LONGEST = 8192
#: Pixels of the pictures that are really resized here.
AREA = 1 << 17

sides = st.integers(1, LONGEST)
scales = st.sampled_from([1, 2, 4])
rungs = st.builds(Rung, st.just(0), scales, st.sampled_from([0, PREVIEW_EDGE]))
colours = st.tuples(*[st.integers(0, 255)] * 3)


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    """Height and width, long strips among them, of a picture that is quick to resize."""
    one = draw(sides)
    other = draw(st.integers(1, min(LONGEST, AREA // one)))
    return (one, other) if draw(st.booleans()) else (other, one)


def padded(picture: Picture) -> Picture:
    """As g_s paints: up to whole blocks, and what stands in the padding is anybody's guess."""
    height, width = picture.shape[:2]
    painted = np.random.default_rng(0).integers(
        0, 256, (height + -height % Z_STRIDE, width + -width % Z_STRIDE, 3), np.uint8
    )
    painted[:height, :width] = picture
    return painted


@given(rungs, sides, sides)
def test_the_copy_that_is_coded_covers_the_canvas_and_no_pixel_more(
    rung: Rung, height: int, width: int
) -> None:
    canvas, coded = rung.canvas(height, width), rung.coded(height, width)
    for painted, seen in zip(canvas, coded, strict=True):
        assert (seen - 1) * rung.scale < painted <= seen * rung.scale


@given(scales, sides, sides)
def test_a_plain_level_paints_the_picture_itself(scale: int, height: int, width: int) -> None:
    assert Rung(0, scale).canvas(height, width) == (height, width)


@given(scales, sides, sides)
def test_a_preview_keeps_the_shape_within_its_edge(scale: int, height: int, width: int) -> None:
    canvas = Rung(0, scale, PREVIEW_EDGE).canvas(height, width)
    shrink = min(1, PREVIEW_EDGE / max(height, width))
    assert max(canvas) == min(PREVIEW_EDGE, max(height, width))
    for painted, true in zip(canvas, (height, width), strict=True):
        assert painted == 1 or abs(painted - shrink * true) <= 0.5


@given(scales, st.integers(1, PREVIEW_EDGE), st.integers(1, PREVIEW_EDGE))
def test_a_preview_of_a_small_picture_codes_what_its_plain_level_codes(
    scale: int, height: int, width: int
) -> None:
    plain, preview = Rung(0, scale), Rung(0, scale, PREVIEW_EDGE)
    assert preview.coded(height, width) == plain.coded(height, width)


@given(rungs, sizes(), colours)
def test_a_constant_picture_comes_back_exactly(
    rung: Rung, size: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    height, width = size
    picture = np.full((height, width, 3), colour, np.uint8)
    reduced = rung.reduced(picture)
    assert reduced.shape[:2] == rung.coded(height, width)
    assert (reduced == colour).all()
    canvas = np.full((*rung.canvas(height, width), 3), colour, np.uint8)
    np.testing.assert_array_equal(rung.enlarged(padded(canvas), height, width), picture)


def test_the_plain_level_of_scale_one_changes_nothing() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (37, 211, 3), np.uint8)
    rung = Rung(0, 1)
    np.testing.assert_array_equal(rung.reduced(picture), picture)
    np.testing.assert_array_equal(rung.enlarged(padded(picture), 37, 211), picture)


@given(st.lists(scales, min_size=1, max_size=30).map(tuple))
def test_each_level_has_a_preview_level_behind_all_plain_ones(scales: tuple[int, ...]) -> None:
    ladder = Ladder(scales)
    for plain, preview in zip(ladder.plain, ladder.previews, strict=True):
        assert ladder[plain] == Rung(plain, scales[plain])
        assert ladder[preview] == Rung(plain, scales[plain], PREVIEW_EDGE)
    assert [*ladder.plain, *ladder.previews] == list(range(len(ladder.rungs)))


@pytest.mark.parametrize("level", [-1, 6, 255])
def test_a_level_that_is_none_is_named_with_those_that_are(level: int) -> None:
    with pytest.raises(QualityError, match=f"no level {level}; there are 0 to 5"):
        Ladder((4, 2, 1))[level]


@pytest.mark.parametrize(
    ("scales", "default"),
    [((4, 4, 2, 1, 1, 1), 4), ((1, 1, 1, 1), 2), ((4, 2), 1), ((1,), 0)],
)
def test_the_default_is_the_middle_of_the_levels_that_code_the_picture_itself(
    scales: tuple[int, ...], default: int
) -> None:
    assert Ladder(scales).default == default


def test_a_system_has_the_first_levels_of_its_streams_scales() -> None:
    assert Ladder.of(2, (4, 2, 1)).scales == (4, 2)
    assert Ladder.of(3, ()).scales == (1, 1, 1)
