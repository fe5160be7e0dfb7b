"""Some pictures as every codec makes them of about equal bytes, written as files for the page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean

from cluster.compare.choice import BASE
from cluster.compare.pairs import placement_of
from cluster.compare.records import Shown, ShownPicture
from cluster.compare.request import Request
from cluster.evaluation.entries import CodecEntry, open_codec
from cluster.evaluation.examiner import Examiner, Measures
from cluster.evaluation.rows import ResultRow
from cluster.evaluation.texts import TextMode, Told, judged_places
from cluster.figures import liveliest
from shared.codecs import encode
from shared.codecs.baselines.files import FORMATS
from shared.codecs.baselines.matching import best_within
from shared.errors import SidewireError
from shared.feed import FeedRow, read_feed
from shared.metrics import ms_ssim, psnr
from shared.pictures import Picture, picture_from_bytes, write_picture

__all__ = ["SQUARE", "side_by_side"]

#: Folder of the pictures, below the report's.
FOLDER = "pictures"
#: Pixels of the square that is shown as it is.
SQUARE = 192
FORMAT_NAMES = frozenset(one.name for one in FORMATS)


def side_by_side(
    request: Request,
    rows: Sequence[ResultRow],
    texts: Sequence[tuple[Told, ...]],
    advance: Callable[[], None],
) -> tuple[ShownPicture, ...]:
    """The feed's first pictures that were measured; at most ``request.show``.

    Args:
        rows: of the whole comparison.
        texts: what is told of each picture of the feed.
        advance: called after each picture.

    Raises:
        SidewireError: the folder cannot be written.
    """
    folder = request.out / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SidewireError(f"cannot write {folder}: {error.strerror}") from None
    own: dict[str, list[ResultRow]] = {}
    for one in rows:
        own.setdefault(one.id, []).append(one)
    pairs = zip(read_feed(request.feed), texts, strict=False)
    wanted = ((row, told) for row, told in pairs if row.id in own)
    found = []
    for number, (row, told) in enumerate(islice(wanted, request.show)):
        found.append(_Scene(folder, number, row, told, own[row.id]).shown())
        advance()
    return tuple(found)


class _Scene:
    """One picture: its original, what is told of it, and what was measured of it."""

    def __init__(
        self,
        folder: Path,
        number: int,
        row: FeedRow,
        told: tuple[Told, ...],
        rows: Sequence[ResultRow],
    ) -> None:
        self._folder, self._number, self._rows = folder, number, rows
        self._row = row
        self._captions = {one.label: one.caption for one in told if one.caption is not None}
        self._original = picture_from_bytes(row.image)
        self._budget = _budget(rows)

    def shown(self) -> ShownPicture:
        """Write its files."""
        height, width = self._original.shape[:2]
        top, left = liveliest(self._original, SQUARE)
        sides = dict.fromkeys((row.codec, row.text) for row in self._rows)
        made = []
        for codec, text in sides:
            try:
                made.append(self._made(codec, text))
            except Exception as error:  # a codec may fail in any way: the others go on
                reason = f"{type(error).__name__}: {error}"
                place = placement_of(codec).value
                made.append(Shown(codec, place, text, None, None, reason=reason))
        return ShownPicture(
            id=self._row.id,
            file=self._write("original", self._original),
            width=width,
            height=height,
            top=max(0, min(top, height - SQUARE)),
            left=max(0, min(left, width - SQUARE)),
            captions=self._captions,
            budget=self._budget,
            made=tuple(made),
        )

    def _write(self, name: str, picture: Picture) -> str:
        """A file whose name comes from codecs and numbers alone; its place below the report."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower())
        path = self._folder / f"{self._number:02d}-{slug}.png"
        write_picture(path, picture)
        return f"{FOLDER}/{path.name}"

    def _made(self, codec: str, text: str) -> Shown:
        if codec in FORMAT_NAMES:
            return self._searched(codec)
        rows = [row for row in self._rows if (row.codec, row.text) == (codec, text)]
        nearest = min(rows, key=lambda row: abs(math.log(row.bytes / self._budget)))
        opened = open_codec(CodecEntry(codec, codec))
        caption = self._captions.get(text)
        encoded = encode(opened.encoder, self._original, nearest.quality, caption)
        picture = opened.decode(encoded.blob, caption).picture
        return Shown(
            codec=codec,
            text_at=placement_of(codec).value,
            text=text,
            quality=nearest.quality,
            file=self._write(f"{codec}-{text}", picture),
            bytes=nearest.bytes,
            caption_bytes=nearest.caption_bytes,
            psnr=nearest.psnr,
            feature_distance=nearest.feature_distance,
            judge=nearest.judge,
        )

    def _searched(self, codec: str) -> Shown:
        """A format's best file in so many bytes, shrunk first where that is better."""
        place = placement_of(codec).value
        match = best_within(codec, self._original, self._budget, self._likeness, {})
        if match is None:
            reason = f"writes nothing in {self._budget} bytes"
            return Shown(codec, place, TextMode.NONE, None, None, reason=reason)
        measures = Measures(ssimulacra2=False, matching=True)
        captions = self._row.captions
        scores = Examiner(self._original, measures).scores(match.picture, captions)
        judged = [scores.judge[at] for at in judged_places(TextMode.NONE, len(captions))]
        return Shown(
            codec=codec,
            text_at=place,
            text=TextMode.NONE,
            quality=None,
            file=self._write(codec, match.picture),
            bytes=match.bytes,
            psnr=scores.psnr,
            feature_distance=scores.feature_distance,
            judge=fmean(judged) if judged else None,
        )

    def _likeness(self, picture: Picture) -> float:
        found = ms_ssim(self._original, picture)
        return psnr(self._original, picture) if found is None else found


def _budget(rows: Sequence[ResultRow]) -> int:
    """Bytes of base's middle level, or of the first codec's."""
    names = dict.fromkeys(row.codec for row in rows)
    leader = BASE if BASE in names else next(iter(names))
    own = sorted((row.quality, row.bytes) for row in rows if row.codec == leader)
    return own[len(own) // 2][1]
