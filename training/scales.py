"""Pictures of other scales: what is seen close has smoother edges than a large picture made small."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from training.captioned import CAPTIONS, CaptionedPictures
from training.data import PictureStore

__all__ = ["cut_at_scales"]

#: Enlargements, in turn.
FACTORS = (1.0, 1.5, 2.0)


def cut_at_scales(store: PictureStore, side: int, width: int, seed: int) -> CaptionedPictures:
    """A cut of (side, side) pixels from each picture at one of the :data:`FACTORS`; words are zero vectors.

    Args:
        width: D of the vectors.
    """
    rng = np.random.default_rng(seed)
    cuts = []
    for number, picture in enumerate(store.pictures):
        factor = FACTORS[number % len(FACTORS)]
        seen = min(side, round(side / factor))
        top = rng.integers(picture.shape[0] - seen + 1)
        left = rng.integers(picture.shape[1] - seen + 1)
        cut = Image.fromarray(picture[top : top + seen, left : left + seen])
        cuts.append(np.asarray(cut.resize((side, side), Image.Resampling.BICUBIC)))
    vectors = np.zeros((len(cuts), CAPTIONS, width), np.float16)
    name = f"{store.digest}-{side}-{seed}"
    return CaptionedPictures(
        np.stack(cuts), vectors, hashlib.sha256(name.encode()).hexdigest()[:16]
    )
