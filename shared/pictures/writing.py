"""Pixels to files, whole or not at all."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

from PIL import Image

from shared.errors import PictureError, SidewireError
from shared.pictures.picture import Picture, check_picture

__all__ = ["quick_png", "write_atomically", "write_picture"]


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file or nothing: a temporary neighbour, fsync, rename, fsync of the folder.

    Raises:
        SidewireError: the place cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise SidewireError(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise SidewireError(f"cannot write {path}: {error.strerror}") from None


def quick_png(picture: Picture) -> bytes:
    """(H, W, 3) uint8 pixels as a PNG file that is written fast, somewhat larger than it could be."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def write_picture(path: Path, picture: Picture) -> None:
    """Write pixels in the format that the file's ending names (``.png`` is lossless).

    Raises:
        PictureError, LimitError: unknown ending, or see :func:`check_picture`.
        SidewireError: the place cannot be written.
    """
    check_picture(picture)
    suffix = path.suffix.lower()
    name = Image.registered_extensions().get(suffix)
    if name is None or name not in Image.SAVE:
        raise PictureError(f"cannot write {path}: no picture format for the ending {suffix!r}")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, name)
    write_atomically(path, buffer.getvalue())
