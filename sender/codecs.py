"""What a sender can be told to encode with, as far as that is known without torch."""

from __future__ import annotations

from pathlib import Path

from shared.errors import UnknownCodecError
from shared.systems.catalogue import systems

__all__ = ["SEALED", "check_codec", "sendable"]

#: For feeds whose pictures are containers already.
SEALED = "sealed"


def sendable() -> tuple[str, ...]:
    """The names that ``codec`` may have: systems, whose streams are containers, and what passes those on."""
    return (*systems(), SEALED)


def check_codec(codec: str, bundle: Path | None) -> None:
    """See that a codec can be sent with. Its quality and its weights are looked at where it is built.

    Args:
        bundle: folder of the model, which then says itself what it is of.

    Raises:
        UnknownCodecError: there is none of that name, or it writes no containers.
    """
    if bundle is None and codec not in sendable():
        known = ", ".join(sendable())
        raise UnknownCodecError(f"codec is {codec!r}, must be one that writes containers: {known}")
