"""Previews of the shipped ``base``: never longer than asked, at the original's size, as bytes or text."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from shared.codecs.preview import MEDIA_TYPE, Preview, blob_of, picture_of, preview
from shared.errors import ContainerError, LimitError, SizeError, UnknownCodecError
from shared.metrics import psnr
from shared.pictures import Picture
from tests.codecs import Whole

BUDGETS = (28, 50, 100, 200)
#: Height and width beside those of the pictures that ship.
ODD_SIZES = [(1, 1), (20, 3000), (8192, 1), (480, 640)]


@pytest.fixture(scope="module", params=["kodim03", "kodim15", "kodim23"])
def photo(request: pytest.FixtureRequest, kodak: dict[str, Picture]) -> Picture:
    return kodak[request.param]


@pytest.fixture(scope="module")
def parrots(kodak: dict[str, Picture]) -> Preview:
    return preview(kodak["kodim23"], 50)


def test_more_bytes_show_more_and_none_is_exceeded(photo: Picture) -> None:
    made = [preview(photo, limit).blob for limit in BUDGETS]
    assert all(len(blob) <= limit for blob, limit in zip(made, BUDGETS, strict=True))
    pictures = [picture_of(blob) for blob in made]
    assert {picture.shape for picture in pictures} == {photo.shape}
    values = [psnr(photo, picture) for picture in pictures]
    assert all(less < more for less, more in pairwise(values))
    assert values[-1] > values[0] + 3


@pytest.mark.parametrize("size", ODD_SIZES, ids="{0[0]}x{0[1]}".format)
def test_any_size_fits_and_comes_back(size: tuple[int, int], kodak: dict[str, Picture]) -> None:
    picture = np.resize(kodak["kodim03"], (*size, 3))
    for limit in BUDGETS:
        blob = preview(picture, limit).blob
        assert len(blob) <= limit
        assert picture_of(blob).shape == picture.shape


def test_a_refusal_names_the_least_and_that_much_is_enough(photo: Picture) -> None:
    with pytest.raises(SizeError) as refused:
        preview(photo, 8)
    least = refused.value.least
    assert len(preview(photo, least).blob) == least
    with pytest.raises(SizeError):
        preview(photo, least - 1)


def test_wider_dead_zones_make_shorter_streams(base_codec: Whole, photo: Picture) -> None:
    encoder = base_codec.encoder
    level = encoder.terms.ladder.previews[4]
    lengths = [len(encoder.encode_at(photo, level, zone).blob) for zone in (0.5, 1, 2, np.inf)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < lengths[0] / 1.5


def test_the_texts_hold_the_very_bytes(parrots: Preview) -> None:
    # No text begins as a command's option does.
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]+", parrots.text)
    assert parrots.data_url.startswith(f"data:{MEDIA_TYPE};base64,")
    padded = parrots.text + "=" * (-len(parrots.text) % 4)
    for text in (parrots.text, padded, f" {parrots.text}\n", parrots.data_url):
        assert blob_of(text) == parrots.blob
    expected = picture_of(parrots.blob)
    for text in (parrots.text, parrots.data_url):
        np.testing.assert_array_equal(picture_of(text), expected)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "abcde", "no base64!", "a=bc", "prévue", "data:", "data:text/plain,words"],
)
def test_text_that_is_no_preview_is_refused_as_it_is_read(text: str) -> None:
    with pytest.raises(ContainerError, match="preview text"):
        blob_of(text)


def test_text_of_other_bytes_and_endless_text_are_refused() -> None:
    with pytest.raises(ContainerError, match="not a Sidewire stream"):
        picture_of("data:image/png;base64,iVBORw0KGgo=")
    with pytest.raises(ContainerError, match="at most 65536"):
        blob_of("A" * 70_000)


def test_a_stream_whose_decoder_reads_captions_has_previews_too(kodak: dict[str, Picture]) -> None:
    photo = kodak["kodim23"]
    made = preview(photo, 200, "ssa")
    assert len(made.blob) <= 200
    silent = picture_of(made.blob)
    told = picture_of(made.text, "Two parrots, one red and one blue.")
    assert silent.shape == told.shape == photo.shape
    assert psnr(photo, silent) > 20
    assert not np.array_equal(silent, told)


def test_what_cannot_have_a_preview_is_named() -> None:
    with pytest.raises(UnknownCodecError, match="baseline/webp makes no previews"):
        preview(np.zeros((8, 8, 3), np.uint8), 50, "baseline/webp")
    with pytest.raises(LimitError, match="picture width is 8193"):
        preview(np.zeros((8, 8193, 3), np.uint8), 50)
