"""The nouns of captions, told by where words stand: behind a determiner, with the chunk's end behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from shared.telling.items import DETERMINERS, parts_chunks
from shared.telling.tokens import pieces

__all__ = ["nouns_of"]

#: Times that a word must be seen as a noun, and the share of all its times.
LEAST_TIMES, LEAST_SHARE = 3, 0.2
#: Words from the determiner to the noun at most, in each pass.
REACHES = (1, 3, 3)


def nouns_of(captions: Iterable[str]) -> list[str]:
    """Words that stand as nouns often, in order of the alphabet.

    A word does where a determiner is before it, and a preposition, an auxiliary, punctuation or the caption's
    end behind it. Verbs have their subject before them and adjectives a noun behind them, so both fail one
    half of it. Further passes let words stand between, but no noun, which would be the subject of a verb.
    """
    said = [[piece.bare for piece in pieces(caption, sentences=True)] for caption in captions]
    nouns: set[str] = set()
    for reach in REACHES:
        nouns |= _pass(said, nouns, reach)
    return sorted(nouns)


def _pass(said: Sequence[Sequence[str]], known: Collection[str], reach: int) -> set[str]:
    times, as_noun = Counter[str](), Counter[str]()
    for words in said:
        behind = reach
        for word, following in zip(words, [*words[1:], "."], strict=True):
            if parts_chunks(word):
                behind = 0 if word in DETERMINERS else reach
                continue
            times[word] += 1
            behind += 1
            if behind <= reach and (parts_chunks(following) or following.endswith("ing")):
                as_noun[word] += 1
            if word in known:
                behind = reach
    return {
        word
        for word, count in as_noun.items()
        if count >= LEAST_TIMES and count >= LEAST_SHARE * times[word]
    }
