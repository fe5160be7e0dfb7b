"""What is done inside the lab's process, the only place of the viewer where torch is loaded."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from functools import cached_property, partial

from receiver.viewer.lab import Draw, Fit, Found, Match, Measure, Measured
from receiver.viewer.rivals import LARGEST
from shared.codecs import Decoder, load_decoder
from shared.codecs.baselines.matching import Match as Matched
from shared.codecs.baselines.matching import Trials, best_within, least_as_good
from shared.errors import LimitError
from shared.metrics import luma, ms_ssim, psnr
from shared.pictures import Picture, picture_from_bytes, quick_png

__all__ = ["Bench"]

#: Pictures, times formats and measures, whose trials are remembered: a feed that is repeated asks again.
REMEMBERED = 256


def likeness(original: Picture, other: Picture) -> float:
    """MS-SSIM of the brightness; of pictures too small for it PSNR in dB. More is better either way."""
    found = ms_ssim(luma(original), luma(other))
    return psnr(original, other) if found is None else found


class Bench:
    """Decoders of one codec, and the trials that are remembered.

    Args:
        codec: whose generator decodes.
        decoder: of that codec, with its guard.
    """

    def __init__(self, codec: str, decoder: Decoder) -> None:
        self._codec = codec
        self._guarded = decoder
        self._trials: OrderedDict[tuple[bytes, str, str], Trials] = OrderedDict()

    @cached_property
    def _unguarded(self) -> Decoder:
        return load_decoder(self._codec, guard=False)

    def measured(self, request: Measure) -> Measured:
        """Compare two pictures."""
        original = picture_from_bytes(request.original)
        decoded = picture_from_bytes(request.decoded)
        decibels = psnr(original, decoded)
        return Measured(decibels if math.isfinite(decibels) else None, ms_ssim(original, decoded))

    def drawn(self, request: Draw) -> bytes:
        """PNG file of a stream."""
        decoder = self._guarded if request.guard else self._unguarded
        return quick_png(decoder.decode(request.container, request.caption).picture)

    def fitted(self, request: Fit) -> Found | None:
        """The best in so many bytes."""
        original = _comparable(request.original)
        like = partial(psnr, original)  # of several ways to fit any measure finds the best
        known = self._known(request.original, request.baseline, "PSNR")
        found = best_within(request.baseline, original, request.limit, like, known)
        return None if found is None else _found(found)

    def matched(self, request: Match) -> Found | None:
        """The least that is as good."""
        original = _comparable(request.original)
        like = partial(likeness, original)
        wanted = like(picture_from_bytes(request.decoded))
        known = self._known(request.original, request.baseline, "MS-SSIM")
        found = least_as_good(request.baseline, original, wanted, like, known)
        return None if found is None else _found(found)

    def _known(self, original: bytes, baseline: str, measure: str) -> Trials:
        key = hashlib.sha256(original).digest(), baseline, measure
        trials = self._trials.setdefault(key, {})
        self._trials.move_to_end(key)
        while len(self._trials) > REMEMBERED:
            self._trials.popitem(last=False)
        return trials


def _comparable(file: bytes) -> Picture:
    picture = picture_from_bytes(file)
    pixels = picture.shape[0] * picture.shape[1]
    if pixels > LARGEST:
        raise LimitError("pixels of a picture that is compared", pixels, LARGEST)
    return picture


def _found(match: Matched) -> Found:
    return Found(
        bytes=match.bytes,
        quality=match.trial.quality,
        shrink=match.trial.shrink,
        png=quick_png(match.picture),
    )
