"""Texts as tokens and back, losslessly: words, punctuation, and marks where a text does the unexpected.

A text is cut at spaces and at ASCII punctuation. Spaces and capitals are not tokens: each piece comes with
the space and the case that are usual where it stands, and a mark before it says where it does not. So
"A man, 40." is ``a man , 40 .``; only ASCII letters have a case here, as other scripts' rules differ between
versions of Unicode.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Piece", "joined", "pieces"]

_PIECE = re.compile(r"[!-/:-@\[-`{-~]|[^ !-/:-@\[-`{-~]+")
#: Pieces that stand close to what is before them, and to what comes behind them.
CLOSE_BEFORE = frozenset(".,;:!?)'%-/")
CLOSE_BEHIND = frozenset("('-/#$")
#: What ends a sentence: the next one begins with a capital.
ENDS = frozenset(".!?")
_LOWER, _UPPER = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FALL, _RISE = str.maketrans(_UPPER, _LOWER), str.maketrans(_LOWER, _UPPER)


@dataclass(frozen=True)
class Piece:
    """A word or a mark of punctuation.

    Attributes:
        bare: without the case of its first letter, where that can be told again.
        moved: it has a space before it where none is usual, or none where one is.
        turned: its first letter has another case than is usual.
    """

    bare: str
    moved: bool
    turned: bool


def _raised(word: str) -> str:
    return word[:1].translate(_RISE) + word[1:]


def _bare(word: str) -> str:
    return word[:1].translate(_FALL) + word[1:]


class _Place:
    """What is usual for the next piece.

    Args:
        sentences: the text is made of them; otherwise capitals are unusual everywhere.
    """

    def __init__(self, sentences: bool) -> None:
        self._sentences = sentences
        self._before: str | None = None

    def close(self, bare: str) -> bool:
        """Without a space."""
        before = self._before
        return before is None or bare in CLOSE_BEFORE or before in CLOSE_BEHIND

    @property
    def raises(self) -> bool:
        """With a capital."""
        return self._sentences and (self._before is None or self._before in ENDS)

    def pass_over(self, bare: str) -> None:
        self._before = bare


def pieces(text: str, *, sentences: bool) -> Iterator[Piece]:
    """The pieces of a text of single spaces.

    Args:
        sentences: see :class:`_Place`; the same for :func:`joined`.
    """
    place = _Place(sentences)
    for found in _PIECE.finditer(text):
        word, bare = found[0], _bare(found[0])
        close = found.start() == 0 or text[found.start() - 1] != " "
        usual = _raised(bare) if place.raises else bare
        yield Piece(bare, close != place.close(bare), word != usual)
        place.pass_over(bare)


def joined(found: Iterable[Piece], *, sentences: bool) -> str:
    """The text of its pieces; inverse of :func:`pieces`."""
    place, text = _Place(sentences), ""
    for piece in found:
        word = _raised(piece.bare) if place.raises != piece.turned else piece.bare
        text += word if place.close(piece.bare) != piece.moved else f" {word}"
        place.pass_over(piece.bare)
    return text
