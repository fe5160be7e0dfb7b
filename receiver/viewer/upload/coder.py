"""What is done inside the coding process, the only place of the upload page where torch is loaded."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from receiver.viewer.rivals import LARGEST
from receiver.viewer.upload.coding import Describe, Described, Make
from receiver.viewer.upload.state import CodecFacts, Made, Step
from shared.captioner import CaptionerError
from shared.codecs import Codec, load_codec
from shared.codecs.baselines import baseline, baseline_names
from shared.codecs.baselines.files import FORMATS
from shared.codecs.baselines.matching import best_within
from shared.codecs.fitting import Wanted, encode_wanted
from shared.codecs.loading import levels_of
from shared.errors import SidewireError
from shared.metrics import ms_ssim, psnr
from shared.pictures import Picture, quick_png, read_picture
from shared.progress import watched
from shared.systems.catalogue import systems
from shared.text.image_to_text import load_captioner
from shared.workers import tell

__all__ = ["Coder", "codec_facts"]

#: Codecs that stay loaded: the last ones that somebody used.
LOADED = 2
#: Whose best in so many bytes may be a smaller picture at a finer quality.
FILE_FORMATS = frozenset(one.name for one in FORMATS)


def codec_facts() -> tuple[CodecFacts, ...]:
    """All codecs that can be used here: systems whose weights are there, then other formats."""
    return (*_systems(), *map(_baseline, baseline_names()))


def _systems() -> Iterator[CodecFacts]:
    for row in systems().values():
        with suppress(SidewireError):  # it has no weights here
            levels, default = levels_of(row)
            yield CodecFacts(row.name, row.text.value, levels, default, streams=True)


def _baseline(name: str) -> CodecFacts:
    one = baseline(name)
    return CodecFacts(name, one.text.value, one.qualities, one.default_quality, streams=False)


class Steps:
    """Tells the page what is being done, and how far that is."""

    def __init__(self) -> None:
        self._name = ""

    def begin(self, name: str) -> None:
        """Something else is begun."""
        self._name = name
        tell(Step(name))

    def part(self, done: int, of: int) -> None:
        """Parts of it are done; see :mod:`shared.progress`."""
        tell(Step(self._name, done, of))


class Coder:
    """A captioner, and codecs, which are loaded when they are needed.

    Args:
        captioner: folder of a model; None for no captions.

    Raises:
        CaptionerError: the folder holds none.
    """

    def __init__(self, captioner: Path | None) -> None:
        self._captioner = None if captioner is None else load_captioner(captioner)
        self._codec = lru_cache(LOADED)(load_codec)

    def described(self, request: Describe) -> Described:
        """What the captioner sees.

        Raises:
            CaptionerError: it has no words, or there is none.
        """
        if self._captioner is None:
            raise CaptionerError("there is no captioner here")
        return Described(self._captioner.caption(read_picture(request.picture)))

    def made(self, request: Make) -> Made:
        """Compress, draw and measure.

        Raises:
            SidewireError: what is wrong with the codec, the level or the size.
        """
        steps, order = Steps(), request.order
        steps.begin("opening the picture")
        original = read_picture(request.picture)
        wanted = Wanted(order.quality, order.bytes, order.bpp)
        limit = wanted.size_for(original)
        with watched(steps.part):
            if order.codec in FILE_FORMATS and limit is not None:
                made, picture = _fitted(order.codec, original, limit, steps)
            else:
                made, picture = self._coded(original, wanted, request, steps)
        steps.begin("measuring and saving")
        request.target.write_bytes(quick_png(picture))
        decibels = psnr(original, picture)
        small = original.shape[0] * original.shape[1] <= LARGEST  # or it would take minutes
        return replace(
            made,
            psnr=decibels if math.isfinite(decibels) else None,
            ms_ssim=ms_ssim(original, picture) if small else None,
        )

    def _coded(
        self, original: Picture, wanted: Wanted, request: Make, steps: Steps
    ) -> tuple[Made, Picture]:
        """What a codec makes of it, before it is measured."""
        name, caption = request.order.codec, request.order.caption or None
        steps.begin(f"loading {name}")
        codec: Codec = self._codec(name)
        encoder, decoder = codec.encoder, codec.decoder
        began = time.monotonic()
        level, encoded = encode_wanted(
            encoder, original, wanted, caption, lambda one: steps.begin(f"encoding at level {one}")
        )
        encoded_at = time.monotonic()
        steps.begin("drawing it from its bytes")
        decoded = decoder.decode(encoded.blob, caption)
        made = Made(
            level=level,
            bytes=encoded.counted,
            bpp=encoded.bits_per_pixel,
            trust=decoded.trust,
            note=decoder.caption_note(caption),
            encode_seconds=encoded_at - began,
            decode_seconds=time.monotonic() - encoded_at,
        )
        if name in systems():
            request.stream.write_bytes(encoded.blob)
        return made, decoded.picture


def _fitted(name: str, original: Picture, limit: int, steps: Steps) -> tuple[Made, Picture]:
    """The best that a file format makes in so many bytes, perhaps of a smaller copy, before it is measured.

    Raises:
        SidewireError: nothing fits.
    """
    steps.begin(f"looking for the best file of at most {limit} bytes")
    began = time.monotonic()
    found = best_within(name, original, limit, partial(psnr, original), {})
    if found is None:
        raise SidewireError(f"{name} makes nothing of this picture in {limit} bytes")
    made = Made(
        level=found.trial.quality,
        shrink=found.trial.shrink,
        bytes=found.bytes,
        bpp=8 * found.bytes / (original.shape[0] * original.shape[1]),
        encode_seconds=time.monotonic() - began,
    )
    return made, found.picture
