"""Who says what is in a picture: a network that was trained here, or any captioner that is at hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from shared.bundle import shipped_bundle
from shared.captioner import Captioner
from shared.describer_bundle import DESCRIBER, load_describer
from shared.errors import BundleError
from shared.matcher_bundle import load_matcher
from shared.networks.describer import seen_by
from shared.pictures import Picture
from shared.telling.items import items_of
from shared.telling.speaking import sentence_of, speak
from shared.telling.telling import Telling

__all__ = ["CaptionedDescriber", "Describer", "SmallDescriber"]

#: The shipped matcher that describers see by; never the one that judges.
MATCHER = "features"


class Describer(ABC):
    """Finds words for pictures. Not safe to share between threads."""

    @abstractmethod
    def describe(self, picture: Picture, said: str | None = None) -> Telling:
        """A description of a picture (H, W, 3) uint8, and its items, which have no maps yet.

        The same arguments always give the same telling on a machine.

        Args:
            said: a caption that came with the picture, which is then the description, cut to its limit;
                None or "" for none.

        Raises:
            CaptionerError: the picture has no words, of a describer that asks a captioner.
        """


def _told(own: str, said: str | None, nouns: Collection[str]) -> Telling:
    """What was said, or else what the describer says itself, and its items."""
    telling = Telling.clipped(said or own)
    return Telling(telling.description, items_of(telling.description, nouns))


class SmallDescriber(Describer):
    """The embedded one: a small network over the shipped matcher's maps, and the nouns that it knows.

    Items are looked for in the description, whoever wrote it, by :mod:`shared.telling.items`. A caption
    without a noun that captions of training knew gives none.

    Args:
        folder: the describer's bundle; None for the shipped one.

    Raises:
        BundleError: it is missing or damaged, or was trained over another matcher.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or shipped_bundle(DESCRIBER)
        self._parts = load_describer(folder)
        self._matcher, seer = load_matcher(shipped_bundle(MATCHER))
        if self._parts.manifest.matcher != seer.tensors_sha256:
            raise BundleError(
                f"bundle {folder} was trained over another matcher than the shipped one"
            )

    def describe(self, picture: Picture, said: str | None = None) -> Telling:
        """See :meth:`Describer.describe`."""
        own = "" if said else self.caption(picture)
        return _told(own, said, self._parts.nouns)

    @torch.inference_mode()
    def caption(self, picture: Picture) -> str:
        """What the network says of a picture."""
        side = self._matcher.size.side
        # By Pillow, which needs no floating-point copy of a large picture.
        small = Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float().div(255)
        words = speak(self._parts.network, seen_by(self._matcher, x))
        return sentence_of(words, self._parts.vocabulary)


class CaptionedDescriber(Describer):
    """Any captioner's words, and their items.

    Args:
        captioner: says what it sees.
        folder: bundle of a describer whose nouns are used; None for the shipped one.

    Raises:
        BundleError: it is missing or damaged.
    """

    def __init__(self, captioner: Captioner, folder: Path | None = None) -> None:
        self._captioner = captioner
        self._nouns = load_describer(folder or shipped_bundle(DESCRIBER)).nouns

    def describe(self, picture: Picture, said: str | None = None) -> Telling:
        """See :meth:`Describer.describe`."""
        return _told("" if said else self._captioner.caption(picture), said, self._nouns)
