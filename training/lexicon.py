"""The nouns of captions, told by where words stand: behind a determiner, with the chunk's end behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from shared.telling.items import DETERMINERS, parts_chunks
from shared.telling.tokens import pieces

__all__ = ["nouns_of"]

#: Times that a word must be seen as a noun.
LEAST_TIMES = 3
#: Of each pass: words from the determiner to the noun at most, and times as a noun among all at least. What is
#: next to a determiner is told with certainty, however rarely it stands there alone.
PASSES = ((1, 0.06), (2, 0.2), (3, 0.2))
#: What stands between adjectives, too.
JOINING = frozenset({"and", "or", ",", "-"})


def nouns_of(captions: Iterable[str]) -> list[str]:
    """Words that stand as nouns often, in order of the alphabet.

    A word does where a determiner is before it, and a preposition, an auxiliary, punctuation or the caption's
    end behind it. Verbs have their subject before them and adjectives a noun behind them, so both fail one
    half of it. Further passes let words stand between, but no noun, which would be the subject of a verb.
    """
    said = [[piece.bare for piece in pieces(caption, sentences=True)] for caption in captions]
    nouns: set[str] = set()
    for reach, share in PASSES:
        nouns |= _pass(said, nouns, reach, share)
    return sorted(nouns)


def _ends(word: str, following: str) -> bool:
    """Whether a word ends the chunk before it; "and" may join two adjectives."""
    if word in JOINING:
        return following in DETERMINERS
    return parts_chunks(word) or word.endswith("ing")


def _pass(said: Sequence[Sequence[str]], known: Collection[str], reach: int, share: float) -> set[str]:
    times, as_noun = Counter[str](), Counter[str]()
    for words in said:
        behind = reach
        padded = [*words, ".", "."]
        for place, word in enumerate(words):
            if parts_chunks(word):
                behind = 0 if word in DETERMINERS else reach
                continue
            times[word] += 1
            behind += 1
            if behind <= reach and _ends(*padded[place + 1 : place + 3]):
                as_noun[word] += 1
            if word in known:
                behind = reach
    return {
        word
        for word, count in as_noun.items()
        if count >= LEAST_TIMES and count >= share * times[word]
    }
