"""Who says where in a picture things are: per-place similarity to a name, without what any picture answers.

Li et al. (MISC, eq. 2-4) take this from CLIP Surgery (Li et al. 2023). Our reading: a place's features lose
what an empty picture has there, and its similarity to a name loses the mean similarity to a few usual names,
which is what the place answers to anything. What is left is standardised and cut in two by Otsu's threshold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from shared.bundle import shipped_bundle
from shared.matcher_bundle import load_matcher
from shared.networks.matcher import MEAN
from shared.pictures import Picture
from shared.telling.telling import LEAST_SIDE, MOST_SIDE, ItemMap
from shared.text.interface import TextEncoder
from shared.text.registry import get_text_encoder

__all__ = ["Grounder", "MatcherGrounder", "SurgeryGrounder", "map_shape"]

#: The shipped matcher that grounds; never the one that judges.
MATCHER = "features"
#: What a place's mean answer is measured by.
USUAL = (
    *("man", "woman", "people", "dog", "car", "boat", "building", "wall"),
    *("street", "room", "grass", "tree", "field", "water", "snow", "sky"),
)
#: Places of the matcher's finer map, each so many pixels wide, and scales that are averaged.
STRIDE, SCALES = 16, (0.5, 1.0, 1.5)


def map_shape(height: int, width: int) -> tuple[int, int]:
    """Sides of a map of a picture: the longer one is 16, the shorter one in proportion, 8 at least."""
    longer = max(height, width)
    rows, columns = (max(LEAST_SIDE, round(MOST_SIDE * side / longer)) for side in (height, width))
    return rows, columns


class Grounder(ABC):
    """Finds the places of things. Not safe to share between threads."""

    @abstractmethod
    def ground(self, picture: Picture, names: Sequence[str]) -> list[ItemMap]:
        """A map for each name, of the shape that :func:`map_shape` gives a picture (H, W, 3) uint8.

        The same arguments always give the same maps on a machine. Each marks one place at least.
        """


class SurgeryGrounder(Grounder):
    """Any network whose places and a text encoder's sentences share a space.

    Args:
        encoder: of names.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._usual = self._words(USUAL)

    @abstractmethod
    def views(self, picture: Picture, shape: tuple[int, int]) -> list[Tensor]:
        """What the network sees at each place, (D, rows, columns) a view, less what an empty picture has."""

    def _words(self, names: Sequence[str]) -> Tensor:
        return F.normalize(self._encoder.encode(names).sentence.float(), dim=1)

    @torch.inference_mode()
    def ground(self, picture: Picture, names: Sequence[str]) -> list[ItemMap]:
        """See :meth:`Grounder.ground`."""
        if not names:
            return []
        views = self.views(picture, map_shape(*picture.shape[:2]))
        # One query for all names: what a place answers to each, less what it answers to any.
        queries = self._words(names) - self._usual.mean(0)
        answers = [_standard(torch.einsum("nd,dhw->nhw", queries, view)) for view in views]
        return [_marked(one) for one in torch.stack(answers).mean(0)]


def _standard(answers: Tensor) -> Tensor:
    mean = answers.mean((1, 2), keepdim=True)
    spread = (answers - mean).square().mean((1, 2), keepdim=True).sqrt()
    return (answers - mean) / spread.clamp(min=1e-6)


def _marked(answers: Tensor) -> ItemMap:
    """Places above the threshold that parts them into two groups most different from each other (Otsu)."""
    values = np.sort(answers.double().flatten().numpy())
    below = np.arange(1, len(values))
    sums = np.cumsum(values)[:-1]
    gap = (values.sum() - sums) / (len(values) - below) - sums / below
    cut = int(np.argmax(below * (len(values) - below) * gap**2))
    found: ItemMap = answers.double().numpy() > values[cut]
    return found if found.any() else ~found


class MatcherGrounder(SurgeryGrounder):
    """By a matcher's last two maps, whose linear head is applied to each place instead of their means.

    Args:
        folder: the matcher's bundle; None for the shipped one.

    Raises:
        BundleError: it is missing or damaged. TextWeightsError: its text encoder is.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._matcher, manifest = load_matcher(folder or shipped_bundle(MATCHER))
        super().__init__(get_text_encoder(manifest.text_encoder))
        with torch.inference_mode():
            side = STRIDE * MOST_SIDE
            middle = self._places(torch.full((1, 3, side, side), MEAN))
        self._empty = middle[:, MOST_SIDE // 2, MOST_SIDE // 2, None, None]

    def views(self, picture: Picture, shape: tuple[int, int]) -> list[Tensor]:
        """See :meth:`SurgeryGrounder.views`."""
        rows, columns = (round(max(SCALES) * STRIDE * side) for side in shape)
        # By Pillow, which needs no floating-point copy of a large picture.
        small = Image.fromarray(picture).resize((columns, rows), Image.Resampling.BOX)
        whole = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float().div(255)
        found = []
        for scale in SCALES:
            size = [round(scale * STRIDE * side) for side in shape]
            places = self._places(F.interpolate(whole, size, mode="bilinear", antialias=True))
            found.append(_at(places - self._empty, shape))
        return found

    def _places(self, x: Tensor) -> Tensor:
        """(1, C, H, W) to (D, H / 16, W / 16)."""
        *_, fine, coarse = self._matcher.feature_maps(x)
        weight = self._matcher.head.weight
        heads = weight[:, : fine.shape[1]], weight[:, fine.shape[1] :]
        near, far = (
            torch.einsum("dc,bchw->bdhw", head, places)
            for head, places in zip(heads, (fine, coarse), strict=True)
        )
        far = F.interpolate(far, near.shape[-2:], mode="bilinear")
        return (near + far)[0]


def _at(places: Tensor, shape: tuple[int, int]) -> Tensor:
    return F.interpolate(places[None], list(shape), mode="bilinear", antialias=True)[0]
