"""Places and files that fail, for the tests of what is stored."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["fill", "flips", "put", "read_only", "small_disk", "snapshot"]


def _mount(*arguments: str | Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    command = ["mount", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no mounting here: {done.stderr.strip()}")


def _unmount(place: Path) -> None:
    subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def small_disk(place: Path, size: str = "300k") -> Iterator[Path]:
    """A folder that is a disk of its own; the test is skipped where that cannot be."""
    place.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", place)
    try:
        yield place
    finally:
        _unmount(place)


def fill(disk: Path) -> Path:
    """Leave no room; removing the file that is returned gives it back."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            return filler


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Let nobody write to a file or folder, not even root."""
    _mount("--bind", place, place)
    try:
        _mount("-o", "remount,ro,bind", place)
        yield
    finally:
        _unmount(place)


def flips(data: bytes, step: int) -> Iterator[bytes]:
    """The same bytes with one bit flipped, at every ``step``-th byte that is not zero.

    Most zeros in a small database are the empty middle of a page.
    """
    places = [place for place, byte in enumerate(data) if byte][::step]
    for index, place in enumerate(places):
        damaged = bytearray(data)
        damaged[place] ^= 1 << index % 8
        yield bytes(damaged)


def snapshot(path: Path) -> dict[str, bytes]:
    """A database and its log as a process that is killed now would leave them."""
    files = {name: path.with_name(path.name + name) for name in ("", "-wal")}
    return {name: file.read_bytes() for name, file in files.items() if file.exists()}


def put(path: Path, files: dict[str, bytes]) -> None:
    """A database and its log, and nothing that another one left there."""
    for name in ("", "-wal", "-shm"):
        file = path.with_name(path.name + name)
        if name in files:
            file.write_bytes(files[name])
        else:
            file.unlink(missing_ok=True)
