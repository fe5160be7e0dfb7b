"""The tables of :class:`shared.telling.phrases.Phrases`, counted from captions.

Only what stands there often enough is kept, so the tables hold no caption.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.telling.phrases import (
    DESCRIPTIONS,
    END,
    FIRST_WORD,
    MOVED,
    SPELL,
    STARTS,
    TURNED,
    WORD_END,
    WORD_START,
)
from shared.telling.telling import clipped_text
from shared.telling.tokens import Piece, pieces
from training.context_counts import Event, count_contexts

__all__ = ["count", "written_as_usual"]

#: Captions that are tokenised already have spaces around their punctuation.
_SPACED = re.compile(r" +(?=[.,;:!?'])|(?<= ') +(?=s\b)")
#: Times that something stands behind one and two words before it is in the tables; of letters likewise.
LEAST_WORDS, LEAST_LETTERS = (1, 2), (1, 1, 2)
REACH = max(len(LEAST_WORDS), len(LEAST_LETTERS))
#: What a symbol counts that was not seen.
UNSEEN = 0.5
#: Times that a word is there before texts count it as itself.
LEAST_TIMES = 2
#: The vocabulary is of so many words at most: symbols are 16 bits, and it should stay small.
MOST_WORDS = 12_000


def written_as_usual(caption: str) -> str:
    """A caption with its punctuation close to its words."""
    return _SPACED.sub("", caption)


def count(captions: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of a bundle's section ``phrases``; the same for the same captions.

    Args:
        captions: in any language and order; some thousands of them make it useful.

    Raises:
        ValueError: there is no word in them.
    """
    texts = [clipped_text(written_as_usual(one), DESCRIPTIONS.limit) for one in captions]
    cut = [list(pieces(text, sentences=True)) for text in texts]
    times = Counter(piece.bare for text in cut for piece in text)
    if not times:
        raise ValueError("no word in any caption")
    often = sorted(times, key=lambda word: (-times[word], word))[:MOST_WORDS]
    symbols = {word: FIRST_WORD + place for place, word in enumerate(often)}
    known = FIRST_WORD + len(often)
    start = known + DESCRIPTIONS.start
    events: list[Event] = []
    for text in cut:
        events += _events(start, [_said(piece, times, symbols) for piece in text])
    lone = np.bincount([symbol for _, symbol in events], minlength=known)
    phrase = count_contexts(events, _counted(lone), known + STARTS, LEAST_WORDS)
    spelled = [
        _events(WORD_START, [[octet] for octet in word.encode()], WORD_END) for word in often
    ]
    letters = [event for word in spelled for event in word]
    octets = np.bincount([symbol for _, symbol in letters], minlength=WORD_END + 1)
    letter = count_contexts(letters, _counted(octets), WORD_START + 1, LEAST_LETTERS)
    return {
        "words": torch.tensor(list("\n".join(often).encode()), dtype=torch.uint8),
        **{f"phrase-{name}": tensor for name, tensor in phrase.items()},
        **{f"letter-{name}": tensor for name, tensor in letter.items()},
    }


def _said(piece: Piece, times: Counter[str], symbols: dict[str, int]) -> list[int]:
    """A piece's symbols; of a rare one, it stands for all that are not in the vocabulary."""
    symbol = SPELL if times[piece.bare] < LEAST_TIMES else symbols.get(piece.bare, SPELL)
    return [MOVED] * piece.moved + [TURNED] * piece.turned + [symbol]


def _events(start: int, units: Sequence[Sequence[int]], end: int = END) -> list[Event]:
    """Each symbol with all before it; of a unit's symbols only the last is something to stand behind."""
    context, events = [start], list[Event]()
    for unit in [*units, [end]]:
        before = tuple(context[-REACH:])
        events += [(before, symbol) for symbol in unit]
        context.append(unit[-1])
    return events


def _counted(times: NDArray[np.int64]) -> list[float]:
    return [max(float(one), UNSEEN) for one in times]
