"""What a codec is told in an evaluation, and which captions are left to judge it by.

| mode | told | ``text`` of the rows |
| --- | --- | --- |
| none | nothing | none |
| matched | the picture's first caption | matched |
| mismatched | the first caption of another picture | mismatched |
| generic | "A photograph." | generic |
| all-captions | each of its captions in turn | caption-1, caption-2, ... |

Whichever end reads captions is told, both where both do; a codec that reads none is measured once.

A picture is judged by those of its captions that the codec was not told; its rows for ``none``,
``matched``, ``mismatched`` and ``generic`` by the same ones: all but the first.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.errors import SidewireError

__all__ = [
    "TextMode",
    "TextModeError",
    "Told",
    "borrowed_from",
    "caption_number",
    "judged_places",
    "parse_modes",
    "told_in",
]

#: Of the assignment of wrong captions: equal for every codec, level and run.
MISMATCH_SEED = 20240


#: Says what is true of every picture.
GENERIC = "A photograph."
#: Labels of ``all-captions``, before the caption's number.
CAPTION = "caption-"


class TextModeError(SidewireError):
    """No such text mode, or a feed that it cannot be had for."""


class TextMode(enum.StrEnum):
    """A way of choosing captions; see the module."""

    NONE = "none"
    MATCHED = "matched"
    MISMATCHED = "mismatched"
    GENERIC = "generic"
    ALL_CAPTIONS = "all-captions"


@dataclass(frozen=True)
class Told:
    """One thing that a codec is told.

    Attributes:
        label: the ``text`` column.
        caption: None for nothing.
        judged: places of the picture's own captions that it is judged by; empty where it has only one.
    """

    label: str
    caption: str | None
    judged: tuple[int, ...]


def parse_modes(names: str) -> tuple[TextMode, ...]:
    """Modes by their names, commas between.

    Raises:
        TextModeError: no such mode.
    """
    known = ", ".join(TextMode)
    modes = []
    for name in names.split(","):
        if name.strip() not in set(TextMode):
            raise TextModeError(f"no text mode {name.strip()!r}; choose from {known}")
        modes.append(TextMode(name.strip()))
    return tuple(dict.fromkeys(modes))


def borrowed_from(captions: Sequence[Sequence[str]], seed: int = MISMATCH_SEED) -> list[int | None]:
    """For each picture, the one whose first caption it gets as a wrong one.

    One random cycle through all pictures that have captions: nobody gets the own caption, and each is
    used once; only captions of equal wording are passed over, where they can be.

    Returns:
        Indices; None for a picture without captions.

    Raises:
        TextModeError: only one picture has captions.
    """
    own = [index for index, texts in enumerate(captions) if texts]
    if len(own) == 1:
        raise TextModeError("mismatched captions need two pictures that have captions, there is 1")
    rng = np.random.default_rng(seed)
    order = rng.permutation(own).tolist()
    lenders: list[int | None] = [None] * len(captions)
    for place, index in enumerate(order):
        others = order[place + 1 :] + order[:place]
        strangers = (i for i in others if captions[i][0] != captions[index][0])
        lenders[index] = next(strangers, others[0])
    return lenders


def caption_number(text: str) -> int:
    """Which of its captions a ``text`` label says was told, from 1; 0 for labels of other modes."""
    return int(text.removeprefix(CAPTION)) if text.startswith(CAPTION) else 0


def judged_places(text: str, captions: int) -> tuple[int, ...]:
    """Places of a picture's captions that rows of this ``text`` are judged by."""
    told = max(caption_number(text) - 1, 0)
    return tuple(place for place in range(captions) if place != told)


def told_in(
    modes: Sequence[TextMode], own: Sequence[str], borrowed: str | None
) -> tuple[Told, ...]:
    """Everything that a codec is told of one picture, in the modes' order.

    Args:
        modes: which.
        own: the picture's captions; without any, ``matched`` tells nothing, and ``all-captions`` is
            left out.
        borrowed: another picture's caption.
    """
    told: list[Told] = []
    for mode in modes:
        if mode is TextMode.NONE:
            told.append(Told(mode, None, judged_places(mode, len(own))))
        elif mode is TextMode.MATCHED:
            told.append(Told(mode, own[0] if own else None, judged_places(mode, len(own))))
        elif mode is TextMode.MISMATCHED:
            told.append(Told(mode, borrowed, judged_places(mode, len(own))))
        elif mode is TextMode.GENERIC:
            told.append(Told(mode, GENERIC, judged_places(mode, len(own))))
        else:
            for index, caption in enumerate(own):
                label = f"{CAPTION}{index + 1}"
                told.append(Told(label, caption, judged_places(label, len(own))))
    return tuple(told)
