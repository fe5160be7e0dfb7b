"""Captions as they come, made fit for a tokenizer: bounded, normalised, nothing invisible in them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

__all__ = ["LONGEST_TEXT_BYTES", "CleanText", "clean"]

#: More of a caption, in UTF-8, is not read: some 700 words of English.
LONGEST_TEXT_BYTES = 4 << 10
#: Controls, format characters (byte order marks, direction overrides) and lone surrogates.
INVISIBLE = frozenset({"Cc", "Cf", "Cs"})
#: Format characters that change what is read: they shape Indic letters and join emoji.
JOINERS = frozenset("\u200c\u200d")


@dataclass(frozen=True)
class CleanText:
    """A caption's text: NFC, single spaces, at most LONGEST_TEXT_BYTES; "" for no text.

    Attributes:
        cut: the caption was longer.
    """

    text: str
    cut: bool


def clean(caption: str | None) -> CleanText:
    """Any string as text that every tokenizer takes."""
    raw = caption or ""
    # A character has at least one byte; the slice bounds the work that follows.
    visible = "".join(map(_visible, raw[:LONGEST_TEXT_BYTES]))
    text = " ".join(unicodedata.normalize("NFC", visible).split())
    encoded = text.encode()
    kept = encoded[:LONGEST_TEXT_BYTES].decode(errors="ignore").rstrip()
    return CleanText(kept, len(raw) > LONGEST_TEXT_BYTES or len(encoded) > LONGEST_TEXT_BYTES)


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    if character in JOINERS or unicodedata.category(character) not in INVISIBLE:
        return character
    return ""
