"""Overlapping blocks, the yardstick of windows that meet without a seam."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.evaluation.blocks import Blocks, code_in_blocks
from shared.codecs import get_codec
from shared.errors import LimitError
from shared.pictures import Picture

WEBP = "baseline/webp"


@given(st.data(), st.integers(1, 400), st.integers(1, 200))
def test_blocks_cover_an_edge_and_their_weights_never_vanish(
    data: st.DataObject, length: int, side: int
) -> None:
    blocks = Blocks(side, data.draw(st.integers(0, side - 1)))
    spans = blocks.spans(length)
    weight = np.zeros(length)
    for span in spans:
        weight[span] += blocks.weights(span, length)
    assert weight.min() > 0
    assert (spans[0].start, spans[-1].stop) == (0, length)
    assert {span.stop - span.start for span in spans} == {min(side, length)}
    assert all(a.stop - b.start >= blocks.overlap for a, b in pairwise(spans))


def test_a_picture_of_one_block_is_the_codecs_own(kodak: dict[str, Picture]) -> None:
    picture, codec = kodak["kodim03"][:64, :80].copy(), get_codec(WEBP)
    encoded = codec.encode(picture, 5)
    found = code_in_blocks(codec, picture, 5, Blocks(80, 8))
    assert np.array_equal(found.picture, codec.decode(encoded.blob).picture)
    assert found.bytes == encoded.counted


def test_blocks_cost_bytes_and_blending_hides_their_borders(kodak: dict[str, Picture]) -> None:
    picture, codec = kodak["kodim03"], get_codec(WEBP)
    whole = codec.encode(picture, 5).counted
    apart, blended = (code_in_blocks(codec, picture, 5, Blocks(128, o)) for o in (0, 32))
    assert whole < apart.bytes < blended.bytes
    at = Blocks(128, 0).borders(picture.shape[1])

    def step(found: Picture) -> float:
        error = found.astype(float) - picture
        return float(np.abs(np.diff(error, axis=1))[:, np.subtract(at, 1)].mean())

    assert step(blended.picture) < step(apart.picture)


def test_an_overlap_is_less_than_a_block() -> None:
    with pytest.raises(LimitError, match="overlap of blocks in pixels is 64, must be at most 63"):
        Blocks(64, 64)
