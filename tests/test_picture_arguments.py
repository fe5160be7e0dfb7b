"""A picture that a program hands in is looked at before anything is done with it, whoever takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sidewire

GOOD = np.zeros((48, 64, 3), np.uint8)

TAKERS: dict[str, Callable[[Any], object]] = {
    "a system": lambda picture: sidewire.get_codec("base").encode(picture, 16),
    "a file format": lambda picture: sidewire.get_codec("baseline/webp").encode(picture, 50),
    "a placeholder": lambda picture: sidewire.get_codec("baseline/blurhash").encode(picture, 43),
    "a preview": lambda picture: sidewire.preview(picture, 60),
    "a file": lambda picture: sidewire.write_picture(Path("/nowhere/at/all.png"), picture),
}
WRONG = [
    (GOOD.astype(np.float32), "picture dtype is float32, must be uint8"),
    (GOOD.astype(bool), "picture dtype is bool, must be uint8"),
    (GOOD[:, :, 0], r"picture shape is \(48, 64\), must be \(H, W, 3\)"),
    (np.zeros((48, 64, 4), np.uint8), r"picture shape is \(48, 64, 4\), must be \(H, W, 3\)"),
    (GOOD[None], r"picture shape is \(1, 48, 64, 3\), must be \(H, W, 3\)"),
    (GOOD.tolist(), r"picture is a builtins.list, must be a numpy.ndarray of \(H, W, 3\) uint8"),
    (Image.fromarray(GOOD), "picture is a PIL.Image.Image, must be a numpy.ndarray"),
    (None, "picture is a builtins.NoneType, must be"),
]
BEYOND = [
    (GOOD[:0], "picture height is 0, must be at least 1"),
    (GOOD[:, :0], "picture width is 0, must be at least 1"),
    (np.zeros((1, 8193, 3), np.uint8), "picture width is 8193, must be at most 8192"),
    (np.zeros((8193, 1, 3), np.uint8), "picture height is 8193, must be at most 8192"),
]
every_taker = pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)


@every_taker
@pytest.mark.parametrize(("picture", "says"), WRONG)
def test_what_is_no_picture_is_refused(
    take: Callable[[Any], object], picture: object, says: str
) -> None:
    with pytest.raises(sidewire.PictureError, match=says):
        take(picture)


@every_taker
@pytest.mark.parametrize(("picture", "says"), BEYOND)
def test_a_side_beyond_its_limits_is_refused(
    take: Callable[[Any], object], picture: object, says: str
) -> None:
    with pytest.raises(sidewire.LimitError, match=says):
        take(picture)


def test_how_a_picture_lies_in_memory_does_not_matter() -> None:
    """Mirrored, read-only and strided arrays are pictures, too."""
    codec = sidewire.get_codec("base")
    drawn = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    drawn.flags.writeable = False
    mirrored, strided = drawn[::-1, ::-1], np.asfortranarray(drawn)[::2]
    for view in (drawn, mirrored, strided):
        assert codec.encode(view, 3).blob == codec.encode(view.copy(), 3).blob
