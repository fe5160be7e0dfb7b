"""What can go wrong, typed. Every message names what was wrong, the limit and the value."""

from __future__ import annotations

__all__ = [
    "BundleError",
    "ContainerError",
    "CorruptStreamError",
    "LimitError",
    "ModelMismatchError",
    "PictureError",
    "QualityError",
    "SidewireError",
    "StorageError",
    "UnknownCodecError",
    "WorkLeftError",
]


class SidewireError(Exception):
    """Base of everything that the project raises on purpose."""


class PictureError(SidewireError):
    """A file is not a picture that can be encoded."""


class LimitError(SidewireError):
    """A size or count is beyond a stated limit; nothing was allocated for it."""

    def __init__(self, what: str, value: int, limit: int, *, least: bool = False) -> None:
        bound = "at least" if least else "at most"
        super().__init__(f"{what} is {value}, must be {bound} {limit}")
        self.what, self.value, self.limit = what, value, limit


class UnknownCodecError(SidewireError):
    """No codec of that name or id."""


class QualityError(SidewireError):
    """The codec has no such quality level."""


class ContainerError(SidewireError):
    """The bytes are not a well-formed Sidewire container."""


class ModelMismatchError(SidewireError):
    """The stream was made by another model; decoding it would give noise."""


class CorruptStreamError(SidewireError):
    """Header and payload do not belong together, or one of them is damaged."""


class BundleError(SidewireError):
    """A model bundle is missing, damaged or made for another version."""


class StorageError(SidewireError):
    """A ledger or journal is damaged, of another version or cannot be opened; the message says what to do."""


class WorkLeftError(SidewireError):
    """A process was asked to stop and has done so in order, with work left for its next start."""
