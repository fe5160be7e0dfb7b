"""What can go wrong, typed. Every message names what was wrong, the limit and the value."""

from __future__ import annotations

__all__ = [
    "BundleError",
    "ContainerError",
    "CorruptStreamError",
    "LimitError",
    "MissingExtraError",
    "ModelMismatchError",
    "PictureError",
    "QualityError",
    "SidewireError",
    "SizeError",
    "StorageError",
    "UnknownCodecError",
    "WorkLeftError",
    "first_of",
    "reason_of",
]

LONGEST_REASON = 500


class SidewireError(Exception):
    """Base of everything that the project raises on purpose."""


class PictureError(SidewireError):
    """A file is not a picture that can be encoded."""


class LimitError(SidewireError):
    """A size or count is beyond a stated limit; nothing was allocated for it."""

    def __init__(self, what: str, value: int, limit: int, *, least: bool = False) -> None:
        # The arguments themselves: pickle gives them to this method again, so errors cross processes.
        super().__init__(what, value, limit)
        self.what, self.value, self.limit, self.least = what, value, limit, least

    def __str__(self) -> str:
        bound = "at least" if self.least else "at most"
        return f"{self.what} is {self.value}, must be {bound} {self.limit}"


class MissingExtraError(SidewireError):
    """A library is not installed that comes with an extra of this package.

    Attributes:
        what: needs it.
        extras: any of them brings it, such as ``sender`` of ``sidewire[sender]``.
        module: the library's.
    """

    def __init__(self, what: str, extras: tuple[str, ...], module: str) -> None:
        super().__init__(what, extras, module)
        self.what, self.extras, self.module = what, extras, module

    def __str__(self) -> str:
        names = " or ".join(f"sidewire[{extra}]" for extra in self.extras)
        return f"{self.what} needs {names}: {self.module} is not installed"


class UnknownCodecError(SidewireError):
    """No codec of that name or id."""


class QualityError(SidewireError):
    """The codec has no such quality level."""


class SizeError(SidewireError):
    """No level of a codec makes a stream as small as was asked for.

    Attributes:
        limit: bytes that were asked for.
        least: bytes of the smallest stream.
    """

    def __init__(self, limit: int, least: int) -> None:
        super().__init__(limit, least)
        self.limit, self.least = limit, least

    def __str__(self) -> str:
        return f"no level fits into {self.limit} bytes; the smallest takes {self.least}"


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


def reason_of(error: Exception) -> str:
    """An error in one line of bounded length; one that the project did not raise says its type."""
    text = str(error) if isinstance(error, SidewireError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:LONGEST_REASON]


def first_of(group: BaseException) -> BaseException:
    """What ended a task group, however deep."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
