"""Items of a description: its first things, each with what is said of it, by a lexicon that captions taught.

Words of closed classes part a sentence into chunks, such as "a young boy". The first nouns of a chunk are the
thing, the last two of them its name; what stands before them are its attributes, and "in a red shirt" behind
it belongs to them. Nothing is parsed: a sentence of another make has fewer items, or odd ones.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shared.telling.telling import DETAIL, MOST_ITEMS, NAME, Item, clipped_text
from shared.telling.tokens import Piece, joined, pieces

__all__ = ["DETERMINERS", "items_of", "parts_chunks"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Words that a chunk may begin with, and that its items do without.
DETERMINERS = _words(
    """
    a an the this that these those his her its their my our your some several many few two three
    four five six another other each every both all no one
    """
)
#: Words that are in no chunk.
STOPS = _words(
    """
    in on at of with by to from for over under near behind beside between through into onto across
    along around against above below down up out off inside outside toward towards during while as
    is are was were be being been am has have had having and or but that which who whose where when
    there it he she they them him we you i not very then than so after before about like next away s
    """
)
#: What may add to the attributes of the thing before it.
ADDING = frozenset({"in", "with", "wearing"})
#: Nouns that name a place in the picture, or the picture, and no thing.
UNSEEN = _words(
    """
    background foreground front back top side middle bottom left right edge end center group pair
    couple lot number row line type kind piece picture photo photograph image view scene shot day
    night time way part area place air look something someone one others other
    """
)


@dataclass(frozen=True)
class _Thing:
    """Pieces ``start`` to ``end``, of which those from ``name`` on are the thing's name."""

    start: int
    name: int
    end: int


def items_of(text: str, nouns: Collection[str], most: int = MOST_ITEMS) -> tuple[Item, ...]:
    """The first items of a text, no name twice.

    Args:
        nouns: in lower case.
        most: of them.
    """
    found = list(pieces(text, sentences=True))
    words = [piece.bare for piece in found]
    items: dict[str, Item] = {}
    things = _things(words, nouns)
    used = 0
    while used < len(things) and len(items) < most:
        thing = things[used]
        end, used = thing.end, used + 1
        if used < len(things):
            following = things[used]
            between = [word for word in words[end : following.start] if word not in DETERMINERS]
            if len(between) == 1 and between[0] in ADDING:
                end, used = following.end, used + 1
        name = _text(found[thing.name : thing.end])
        item = Item(clipped_text(name, NAME), clipped_text(_text(found[thing.start : end]), DETAIL))
        items.setdefault(item.name, item)
    return tuple(items.values())


def _things(words: Sequence[str], nouns: Collection[str]) -> list[_Thing]:
    things = []
    start = 0
    while start < len(words):
        end = start
        while end < len(words) and not parts_chunks(words[end]):
            end += 1
        thing = _thing(words, start, end, nouns)
        if thing is not None:
            things.append(thing)
        start = end + 1
    return things


def parts_chunks(word: str) -> bool:
    """A word that is in no chunk, or begins one without being of its item."""
    return word in STOPS or word in DETERMINERS or not (word[0].isalnum() or word == "-")


def _thing(words: Sequence[str], start: int, end: int, nouns: Collection[str]) -> _Thing | None:
    """The first thing of a chunk: its first run of nouns ends it."""
    first = next((at for at in range(start, end) if words[at] in nouns), None)
    if first is None:
        return None
    last = first
    while last + 1 < end and words[last + 1] in nouns:
        last += 1
    if words[last] in UNSEEN:
        return None
    return _Thing(start, max(first, last - 1), last + 1)


def _text(found: Sequence[Piece]) -> str:
    return joined((Piece(one.bare, one.moved, False) for one in found), sentences=False)
