"""Whether a caption is in a language that its encoder does not know.

A wrong alarm costs more trust than a missed one, so doubt is silence. Evidence, strongest first: the
letters, where the encoder knows only languages written in Latin ones; the language that came with the
caption; CLD2's guess, where it is reliable and the caption is more than a name.
"""

from __future__ import annotations

import unicodedata

import pycld2

from shared.text.interface import UNDETERMINED

__all__ = ["foreign_language"]

#: In fewer words a guess is a guess at names.
LEAST_WORDS = 3
#: Languages of encoders that are told by their letters alone.
LATIN_LANGUAGES = frozenset(
    {"en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "fi", "pl", "cs"}
)
#: Codes that CLD2 uses and BCP 47 has replaced.
RENAMED = {"iw": "he", "jw": "jv"}


def foreign_language(text: str, stated: str, known: frozenset[str]) -> str:
    """The text's language as a primary subtag of BCP 47 if it is not among ``known``, else "".

    Args:
        text: a cleaned caption.
        stated: the BCP 47 tag that came with it; "" for none.
        known: primary subtags; empty where nothing is known about the encoder, which is no alarm.
    """
    if not known or not text:
        return ""
    guesses = _guess(text)
    claim = _primary(stated)
    if known <= LATIN_LANGUAGES and _mostly_foreign_letters(text):
        return next((tag for tag in (*guesses, claim) if tag and tag not in known), UNDETERMINED)
    if claim:
        return "" if claim in known else claim
    if len(text.split()) < LEAST_WORDS or known.intersection(guesses):
        return ""
    return next(iter(guesses), "")


def _primary(tag: str) -> str:
    primary = tag.partition("-")[0].lower()
    wellformed = primary.isascii() and primary.isalpha() and len(primary) in (2, 3)
    return primary if wellformed and primary != UNDETERMINED else ""


def _mostly_foreign_letters(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return 2 * latin < len(letters)


def _guess(text: str) -> tuple[str, ...]:
    """Languages found in the text, the main one first; none if that is not certain."""
    try:
        reliable, _, found = pycld2.detect(text)
    except pycld2.error:  # it refuses some characters that are none, such as U+FFFE
        return ()
    tags = [_primary(code) for _, code, _, _ in found if code != "un"]
    return tuple(RENAMED.get(tag, tag) for tag in tags if tag) if reliable else ()
