"""How much the upload page takes and keeps."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Bounds"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is beyond these is refused with a message that names the bound and the value.

    Attributes:
        file_bytes: of a picture's file.
        stall_seconds: after which a file that has stopped coming is given up.
        reading: pictures that come in, or wait to be read, at once.
        waiting: results and captions that are made or wait, of all pictures.
        waiting_of_one: results of one picture that are made or wait.
        results: of one picture that are kept.
        pictures, kept_bytes: on this machine's disk; those that nobody has looked at for longest go first.
        keep_seconds: after so long without anybody who looks a picture and its results go.
        answer_seconds: after so long one result is given up.
    """

    file_bytes: int = 128 << 20
    stall_seconds: float = 30.0
    reading: int = 8
    waiting: int = 16
    waiting_of_one: int = 6
    results: int = 24
    pictures: int = 32
    kept_bytes: int = 2 << 30
    keep_seconds: float = 3600.0
    answer_seconds: float = 1800.0
