"""Short texts by what is usual in captions and by what was just said, exactly.

A text is a row of symbols: words of a vocabulary, a way to spell others letter by letter, marks for unusual
spaces and capitals (:mod:`shared.telling.tokens`), and an end. Each is coded by a model of the words before
it, learnt from captions, into which the telling itself is mixed: a name or a detail mostly says again what
the description has said. A word that was spelled has a symbol of its own from then on.

Everything that decides a distribution is an integer out of a bundle's section ``phrases`` or stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from shared.errors import CorruptStreamError
from shared.telling.channel import TOTAL, Channel, Frequencies
from shared.telling.context_model import ContextModel
from shared.telling.telling import DESCRIPTION, DETAIL, NAME, TextLimit
from shared.telling.tokens import Piece, joined, pieces

__all__ = [
    "DESCRIPTIONS",
    "DETAILS",
    "FIRST_WORD",
    "NAMES",
    "STARTS",
    "Memory",
    "Phrases",
    "TextKind",
]

#: Symbols: the text's end, a word letter by letter, and the two marks; the vocabulary comes behind them.
END, SPELL, MOVED, TURNED = range(4)
FIRST_WORD = 4
#: Starts of texts, which are contexts alone, by their place behind the vocabulary.
STARTS = 2
#: Spelled words that have a symbol of their own, behind those of the vocabulary.
RECALLED = 32
#: Of the model of letters: bytes, the word's end, and its start, which is a context alone.
WORD_END, WORD_START = 256, 257
#: Weights of a mixture sum to this.
WHOLE = 256


@dataclass(frozen=True)
class TextKind:
    """What a text is, and how far it goes by what was said before.

    Attributes:
        limit: of its length.
        start: the context that it starts from, one of :data:`STARTS`.
        sentences: see :func:`shared.telling.tokens.pieces`.
        again, onwards, end: shares, in 256ths, of any word that was said, of what followed the newest words
            when they were said, and of the end.
    """

    limit: TextLimit
    start: int
    sentences: bool
    again: int
    onwards: int
    end: int


DESCRIPTIONS = TextKind(DESCRIPTION, 0, True, again=2, onwards=4, end=0)
NAMES = TextKind(NAME, 1, False, again=150, onwards=20, end=70)
DETAILS = TextKind(DETAIL, 1, False, again=25, onwards=160, end=45)


@dataclass
class Memory:
    """What was said so far in one telling.

    Attributes:
        spelled: words that the vocabulary lacks, in order.
        words: symbols that were said, in order of their first time.
        followers: what came behind one or two symbols, in order of its first time.
    """

    spelled: list[str] = field(default_factory=list)
    words: dict[int, None] = field(default_factory=dict)
    followers: dict[tuple[int, ...], dict[int, None]] = field(default_factory=dict)

    def note(self, context: Sequence[int], symbol: int) -> None:
        """Take in a symbol behind others."""
        if symbol >= FIRST_WORD:
            self.words[symbol] = None
        for length in (1, 2):
            if len(context) >= length:
                self.followers.setdefault(tuple(context[-length:]), {})[symbol] = None

    def onwards(self, context: Sequence[int]) -> dict[int, None]:
        """What came behind the newest two symbols, or else behind the newest one."""
        for length in (2, 1):
            if found := self.followers.get(tuple(context[-length:])):
                return found
        return {}


@dataclass(frozen=True)
class _Unit:
    """A piece as its symbols say it: a symbol and, where that is SPELL, a word."""

    piece: Piece
    symbol: int


class Phrases:
    """The text coder.

    Args:
        tensors: ``words``, the vocabulary as UTF-8 with line ends, most frequent first; two context models,
            ``phrase-*`` of symbols and ``letter-*`` of bytes. :mod:`training.phrases` makes them.

    Raises:
        ValueError: they do not fit each other.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.vocabulary = tensors["words"].numpy().tobytes().decode().split("\n")
        self._symbols = {word: FIRST_WORD + i for i, word in enumerate(self.vocabulary)}
        self._phrase = ContextModel(_part(tensors, "phrase-"))
        self._letter = ContextModel(_part(tensors, "letter-"))
        self._known = FIRST_WORD + len(self.vocabulary)
        if self._phrase.symbols != self._known or self._letter.symbols != WORD_END + 1:
            raise ValueError("the context models of phrases do not fit their vocabulary")

    def code(self, channel: Channel, kind: TextKind, memory: Memory, text: str | None) -> str:
        """Write a text, or read one.

        Args:
            channel: writes or reads.
            kind: of text.
            memory: takes in what the text says.
            text: None to read it.

        Raises:
            CorruptStreamError: what is read is no text that a writer writes.
        """
        start = self._known + kind.start
        if text is None:
            return self._read(channel, kind, memory, start)
        context = [start]
        for unit in self._units(text, kind, memory.spelled):
            self._code_unit(channel, kind, memory, context, unit)
        self._code_symbol(channel, kind, memory, context, END)
        return text

    def symbols_of(self, text: str) -> list[int]:
        """The bytes of a text and their number before them: what a checksum reads."""
        octets = text.encode()
        return [len(octets), *octets]

    def _units(self, text: str, kind: TextKind, spelled: Sequence[str]) -> list[_Unit]:
        """A text's pieces with the symbols that say them, given what was spelled before."""
        known = [*spelled]
        units = []
        for piece in pieces(text, sentences=kind.sentences):
            symbol = self._symbols.get(piece.bare, SPELL)
            if symbol == SPELL and piece.bare in known[:RECALLED]:
                symbol = self._known + known.index(piece.bare)
            elif symbol == SPELL:
                known.append(piece.bare)
            units.append(_Unit(piece, symbol))
        return units

    def _read(self, channel: Channel, kind: TextKind, memory: Memory, start: int) -> str:
        before = tuple(memory.spelled)
        context, units, octets = [start], list[_Unit](), 0
        while (unit := self._read_unit(channel, kind, memory, context)) is not None:
            units.append(unit)
            octets += len(unit.piece.bare.encode())
            if octets > kind.limit.octets:
                raise CorruptStreamError(f"a text is longer than {kind.limit.octets} bytes")
        text = joined((unit.piece for unit in units), sentences=kind.sentences)
        if self._units(text, kind, before) != units:
            raise CorruptStreamError("a text is told in another way than writers do")
        return text

    def _code_unit(
        self, channel: Channel, kind: TextKind, memory: Memory, context: list[int], unit: _Unit
    ) -> None:
        marks = [
            symbol
            for symbol, due in ((MOVED, unit.piece.moved), (TURNED, unit.piece.turned))
            if due
        ]
        for mark in marks:
            self._code_symbol(channel, kind, memory, context, mark)
        self._code_symbol(channel, kind, memory, context, unit.symbol)
        if unit.symbol == SPELL:
            self._spell(channel, unit.piece.bare)
        self._pass_over(memory, context, unit.symbol, unit.piece.bare)

    def _read_unit(
        self, channel: Channel, kind: TextKind, memory: Memory, context: list[int]
    ) -> _Unit | None:
        marks: list[int] = []
        symbol = self._code_symbol(channel, kind, memory, context, None)
        while symbol in (MOVED, TURNED):
            if marks and symbol <= marks[-1]:
                raise CorruptStreamError("a word has its marks twice or in another order")
            marks.append(symbol)
            symbol = self._code_symbol(channel, kind, memory, context, None)
        if symbol == END:
            if marks:
                raise CorruptStreamError("a text ends behind a mark")
            return None
        if symbol == SPELL:
            word = self._spell(channel, None)
        elif symbol < self._known:
            word = self.vocabulary[symbol - FIRST_WORD]
        elif symbol - self._known < len(memory.spelled):
            word = memory.spelled[symbol - self._known]
        else:
            raise CorruptStreamError("a word is said again that was not said")
        self._pass_over(memory, context, symbol, word)
        return _Unit(Piece(word, MOVED in marks, TURNED in marks), symbol)

    def _pass_over(self, memory: Memory, context: list[int], symbol: int, word: str) -> None:
        if symbol == SPELL:
            memory.spelled.append(word)
            if len(memory.spelled) <= RECALLED:
                symbol = self._known + len(memory.spelled) - 1
        memory.note(context, symbol)
        context.append(symbol)

    def _code_symbol(
        self,
        channel: Channel,
        kind: TextKind,
        memory: Memory,
        context: Sequence[int],
        symbol: int | None,
    ) -> int:
        found = channel.code(self._frequencies(kind, memory, context), symbol)
        if found == END:
            memory.note(context, END)
        return found

    def _frequencies(self, kind: TextKind, memory: Memory, context: Sequence[int]) -> Frequencies:
        # To the model a spelled word is any spelled word.
        starts = context[:1]
        seen = [SPELL if one >= self._known else one for one in context[1:]]
        found = np.zeros(self._known + RECALLED, np.int64)
        found[: self._known] = self._phrase.behind([*starts, *seen])
        pools = (
            (kind.again, memory.words),
            (kind.onwards, memory.onwards(context)),
            (kind.end, (END,)),
        )
        used = [(share, list(pool)) for share, pool in pools if share and pool]
        found = found * (WHOLE - sum(share for share, _ in used)) // WHOLE
        for share, pool in used:
            found[pool] += TOTAL * share // WHOLE // len(pool)
        found[np.argmax(found)] += TOTAL - found.sum()
        return found

    def _spell(self, channel: Channel, word: str | None) -> str:
        """Write a word's bytes, or read them."""
        context = [WORD_START]
        given = None if word is None else [*word.encode(), WORD_END]
        limit = DESCRIPTION.octets
        while len(context) <= limit + 1:
            symbol = None if given is None else given[len(context) - 1]
            found = channel.code(self._letter.behind(context), symbol)
            if found == WORD_END:
                break
            context.append(found)
        octets = bytes(context[1:])
        if len(octets) > limit:
            raise CorruptStreamError(f"a word is longer than {limit} bytes")
        try:
            return octets.decode()
        except UnicodeDecodeError:
            raise CorruptStreamError("a word is not UTF-8") from None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
