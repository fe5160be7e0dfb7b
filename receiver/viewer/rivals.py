"""What formats of the day make of a post's picture. Pure values, as the page gets them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORMATS", "LARGEST", "Comparison", "Fitted", "Matched", "Rival"]

#: Baselines that a visitor knows, and what people call them; the quickest to search first.
FORMATS = {"baseline/jpeg": "JPEG", "baseline/webp": "WebP", "baseline/avif": "AVIF"}
#: Pixels of a picture that is compared: a search writes it some dozens of times.
LARGEST = 1 << 22


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best that a format makes of a picture in as many bytes as its stream has.

    Attributes:
        shrink: what its edges were divided by before, for the page to enlarge it again.
        picture: file in the gallery; what a page shows of it.
    """

    bytes: int
    quality: int
    shrink: int
    picture: str


@dataclass(frozen=True, slots=True)
class Matched:
    """The smallest file of a format whose picture is as near to the original; see :class:`Fitted`."""

    bytes: int
    quality: int
    shrink: int


@dataclass(frozen=True, slots=True)
class Rival:
    """One format. ``matched`` is None where nothing is as good, or until that is ``done``; ``fitted`` where
    nothing is as small.
    """

    name: str
    fitted: Fitted | None = None
    matched: Matched | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """All formats.

    Attributes:
        of_bytes: of the stream that they are held against.
        done: nothing more will come.
        problem: why there is none, in one line; empty where all is well.
    """

    of_bytes: int
    rivals: tuple[Rival, ...] = ()
    done: bool = False
    problem: str = ""
