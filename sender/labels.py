"""Names of pictures as a receiver takes them: a name is a label, and none is too long to be sent."""

from __future__ import annotations

import hashlib

__all__ = ["shortened"]

#: Hexadecimal digits of the name's SHA-256 that stand for what was cut off.
MARK_DIGITS = 10


def shortened(name: str, limit: int) -> str:
    """The name in at most ``limit`` bytes of UTF-8.

    One that is longer keeps its beginning, up to a whole character, and ends with ``~`` and a checksum of
    all of it: names that differ only in what is cut off stay apart, and the same name is always cut alike.
    """
    encoded = name.encode()
    if len(encoded) <= limit:
        return name
    mark = f"~{hashlib.sha256(encoded).hexdigest()[:MARK_DIGITS]}"[:limit]
    return encoded[: limit - len(mark)].decode(errors="ignore") + mark
