"""What a comparison yields; ``compare.json`` has all of it."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import Any

from cluster.bench.provenance import Provenance
from cluster.evaluation.bootstrap import Interval
from cluster.evaluation.rows import Failure, SummaryRow
from cluster.records import plain

__all__ = [
    "Comparison",
    "Counted",
    "Gain",
    "NotMeasured",
    "Pair",
    "Question",
    "RateRow",
    "SavedBits",
    "Shown",
    "ShownPicture",
]


class Question(enum.StrEnum):
    """What a pair of codecs, or of texts of one codec, answers."""

    OWN = "own caption over none"
    WRONG = "wrong caption over none"
    TWIN = "system over its twin"
    BASE = "system over base"


class Counted(enum.StrEnum):
    """Whose bits are equal."""

    PICTURE = "picture"
    TOTAL = "picture and caption"


@dataclass(frozen=True)
class RateRow:
    """A line of the table: a codec, what it was told, and a level.

    Attributes:
        mean: over pictures.
        text_at: which end read the caption.
        bytes, caption_bytes: means of the container's counted bytes, and of the caption's that the
            receiver needed.
        encode_ratio, decode_ratio: times of base's in the same run, at its level of the nearest rate; None
            where there are no times or no base.
    """

    mean: SummaryRow
    text_at: str
    bytes: float
    caption_bytes: float
    encode_ratio: float | None
    decode_ratio: float | None


@dataclass(frozen=True)
class Pair:
    """A codec told something, and what it is held against."""

    question: Question
    codec: str
    text_at: str
    text: str
    anchor: str
    anchor_text: str


@dataclass(frozen=True)
class Gain:
    """How much better a pair's codec is at equal bits, a mean over pictures.

    Attributes:
        quality: the codec's level; None for the mean over a picture's levels.
        bpp: of the codec, as ``counted`` says; a mean over pictures.
        measure: its name, see :data:`cluster.reproduce.sheet.MEASURES`.
        pictures: that the figure is of: the others were beyond the anchor's levels or not measured.
        gain: over 0 is better, by distances too.
        beyond: the interval leaves out zero.
    """

    pair: Pair
    quality: int | None
    counted: Counted
    bpp: float
    measure: str
    pictures: int
    gain: Interval
    beyond: bool


@dataclass(frozen=True)
class SavedBits:
    """BD-rate of a pair: bits that its codec needs beyond the anchor at equal quality, in percent."""

    pair: Pair
    counted: Counted
    measure: str
    pictures: int
    percent: Interval
    beyond: bool


@dataclass(frozen=True)
class Shown:
    """One codec's picture on the page.

    Attributes:
        file: below the folder; None where nothing could be shown, and ``reason`` says why.
        quality: the measured level; None for a format's file that was searched for.
    """

    codec: str
    text_at: str
    text: str
    quality: int | None
    file: str | None
    bytes: int = 0
    caption_bytes: int = 0
    psnr: float | None = None
    feature_distance: float | None = None
    judge: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class ShownPicture:
    """A picture as every codec makes it of about equal bytes.

    Attributes:
        captions: by the ``text`` of what was told.
        budget: bytes that all come near.
        top, left: of the square with most edges, which is shown pixel by pixel.
    """

    id: str
    file: str
    width: int
    height: int
    top: int
    left: int
    captions: dict[str, str]
    budget: int
    made: tuple[Shown, ...]


@dataclass(frozen=True)
class NotMeasured:
    """What a reader may look for and does not find, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Comparison:
    """All that a run found."""

    command: str
    feed: str
    pictures: int
    rates: tuple[RateRow, ...]
    gains: tuple[Gain, ...]
    saved: tuple[SavedBits, ...]
    shown: tuple[ShownPicture, ...]
    not_measured: tuple[NotMeasured, ...]
    failures: tuple[Failure, ...]
    provenance: Provenance

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: null for what does not exist."""
        found: dict[str, Any] = plain(asdict(self))
        return found
