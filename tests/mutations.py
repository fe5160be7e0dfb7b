"""Damage to bytes: a few of them changed, cut, dropped, doubled or put in."""

from __future__ import annotations

from random import Random

__all__ = ["Change", "drawn", "mutate"]

#: What is done, where, and by how much.
Change = tuple[str, int, int]

#: What may be done, with the least and the largest number that says by how much.
KINDS = {
    "flip": (0, 7),
    "set": (0, 255),
    "cut": (0, 0),
    "drop": (1, 8),
    "insert": (0, 255),
    "copy": (1, 8),
}
#: Headers are short: half of the places are near the start.
NEAR, FAR = 2**5, 2**16


def drawn(random: Random) -> list[Change]:
    """One to four changes."""
    kinds = random.choices(list(KINDS), k=random.randint(1, 4))
    return [
        (kind, random.randint(0, random.choice((NEAR, FAR))), random.randint(*KINDS[kind]))
        for kind in kinds
    ]


def mutate(blob: bytes, changes: list[Change]) -> bytes:
    """The bytes after those changes, places taken around their length."""
    data = bytearray(blob)
    for kind, where, value in changes:
        at = where % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << value
        elif kind == "set" and at < len(data):
            data[at] = value
        elif kind == "cut":
            del data[at:]
        elif kind == "drop":
            del data[at : at + value]
        elif kind == "insert":
            data.insert(at, value)
        elif kind == "copy":
            data[at:at] = data[at : at + value]
    return bytes(data)
