"""What training sees of its pictures: windows of them, in the shares that were asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from shared.pictures import Picture
from tests.data_sets import write_pictures
from training.data import PictureStore, Zoom

CROP = 16
#: Heights and widths; the first is no larger than a crop.
SIZES = [(16, 16), (17, 40), (64, 20), (31, 33)]


def places(number: int, height: int, width: int) -> Picture:
    """A picture whose pixels say which they are: its number, the row, the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([np.full_like(rows, number), rows, columns], 2).astype(np.uint8)


@pytest.fixture(scope="module")
def numbered() -> PictureStore:
    return PictureStore([places(i, *size) for i, size in enumerate(SIZES)], digest="")


@pytest.fixture(scope="module")
def crops(numbered: PictureStore) -> NDArray[np.uint8]:
    """Many of them, (n, CROP, CROP, 3)."""
    drawn = torch.cat([numbered.batch(1, step, 100, CROP) for step in range(20)])
    pixels: NDArray[np.uint8] = drawn.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    return pixels


def test_crops_are_windows_of_the_pictures_mirrored_or_not(
    numbered: PictureStore, crops: NDArray[np.uint8]
) -> None:
    for crop in crops:
        number, top, left = crop[0].min(0)
        window = numbered.pictures[number][top : top + CROP, left : left + CROP]
        mirrored = crop[0, 0, 2] > left
        np.testing.assert_array_equal(crop[:, ::-1] if mirrored else crop, window)


def test_every_picture_side_and_corner_is_seen(crops: NDArray[np.uint8]) -> None:
    mirrored = crops[:, 0, 0, 2] > crops[:, 0, -1, 2]
    assert 0.45 < mirrored.mean() < 0.55
    for number, (height, width) in enumerate(SIZES):
        own = crops[crops[:, 0, 0, 0] == number]
        assert len(own) == pytest.approx(len(crops) / len(SIZES), rel=0.1)
        seen = own[..., 1:].reshape(-1, 2)
        assert seen.min(0).tolist() == [0, 0]
        assert seen.max(0).tolist() == [height - 1, width - 1]


def test_files_are_drawn_in_their_shares_whatever_they_hold(tmp_path: Path) -> None:
    """Three quarters of the draws fall on one picture; one that is too small is never seen."""
    sets = {"few": [(CROP, CROP)], "many": [*[(CROP, CROP)] * 5, (CROP - 1, 99)]}
    for owner, (name, sizes) in enumerate(sets.items()):
        pictures = {
            str(i): np.full((*size, 3), 100 * owner, np.uint8) for i, size in enumerate(sizes)
        }
        write_pictures(tmp_path / f"{name}.parquet", pictures)
    patterns = [f"{name}.parquet" for name in sets]
    for shares, expected in (((3.0, 1.0), 1 / 4), ((), 5 / 6)):
        store = PictureStore.load(tmp_path, patterns, CROP, workers=1, shares=shares)
        assert len(store.pictures) == 6
        drawn = torch.cat([store.batch(1, step, 500, CROP)[:, 0, 0, 0] for step in range(4)])
        assert float((drawn > 0).float().mean()) == pytest.approx(expected, abs=0.03)


def test_a_zoom_of_one_changes_nothing_that_a_pixel_could_show(store: PictureStore) -> None:
    plain = store.batch(1, 0, 8, 128)
    zoomed = store.batch(1, 0, 8, 128, Zoom(share=1.0, most=1.0))
    torch.testing.assert_close(zoomed, plain, atol=1e-4, rtol=0)


def test_a_zoom_enlarges_its_share_of_the_crops_about_their_middle() -> None:
    """On a ramp the middle stays, and the slope falls by the factor."""
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8)[:, None, None] + 64, (128, 64, 3))
    store = PictureStore([np.ascontiguousarray(ramp)], digest="")
    plain, zoomed = (store.batch(3, 0, 200, 64, zoom)[:, 0, :, 32] for zoom in (None, Zoom(0.25)))
    slope, middle = (zoomed[:, 33] - zoomed[:, 30]) * 255 / 3, zoomed[:, 31:33].mean(1)
    torch.testing.assert_close(middle, plain[:, 31:33].mean(1), atol=1e-4, rtol=0)
    enlarged = slope < 1 - 1e-3
    assert 0.15 < float(enlarged.float().mean()) < 0.35
    assert float(slope.min()) >= 0.5 - 1e-3
    assert float(slope.max()) <= 1 + 1e-3
