"""An object store as sinks use it: objects are put whole, read, listed and removed, in bounded time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import PurePosixPath
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile

import pyarrow as pa
from pyarrow import fs

from receiver.sinks.places import StorePlace
from shared.errors import reason_of

__all__ = ["ObjectStore", "StoreError"]

#: Seconds until a connection, and that it may be silent. What fails is tried again by whoever stores.
CONNECT_SECONDS = 5.0
SILENT_SECONDS = 10.0
ATTEMPTS = 2


class StoreError(OSError):
    """The store is away, full, or refuses what was asked."""


class ObjectStore:
    """What lies below a prefix of a bucket, by paths that begin there. Safe in threads.

    An object is there whole or not at all: stores know no half of one, and a later one of a name replaces
    the earlier. Credentials are those that the machine has: variables, a profile, or a role.

    Raises:
        StoreError: the parameters make no store.
    """

    def __init__(self, place: StorePlace) -> None:
        self._place = place
        self._root = "/".join(filter(None, (place.bucket, place.prefix)))
        with self._errors():
            self._system = _file_system(place)

    def check_bucket(self) -> None:
        """See that the bucket is there.

        Raises:
            StoreError: it is not, or may not be looked at.
        """
        with self._errors():
            found = self._system.get_file_info(self._place.bucket)
        if found.type == fs.FileType.NotFound:
            raise StoreError(f"there is no bucket {self._place.bucket!r}")

    def put(self, path: PurePosixPath, data: bytes) -> None:
        """Make an object, durable on return.

        Raises:
            StoreError: see the class.
        """
        with self._errors(), self._system.open_output_stream(self._at(path)) as stream:
            stream.write(data)

    def put_together(self, path: PurePosixPath, files: dict[PurePosixPath, bytes]) -> None:
        """Make one object of several files, an archive as zip has it, durable on return.

        Raises:
            StoreError: see the class.
        """
        with self._errors(), self._system.open_output_stream(self._at(path)) as stream:
            archive: IO[bytes] = stream
            with ZipFile(archive, "w", ZIP_STORED) as target:
                for name, data in files.items():
                    target.writestr(str(name), data)

    def get_together(self, path: PurePosixPath) -> dict[PurePosixPath, bytes]:
        """The files of an archive.

        Raises:
            StoreError: see the class. zipfile.BadZipFile: it is damaged.
        """
        with self._errors(), self._system.open_input_stream(self._at(path)) as stream:
            archive = io.BytesIO(stream.read())
        with ZipFile(archive) as source:
            return {PurePosixPath(name): source.read(name) for name in source.namelist()}

    def names(self, folder: PurePosixPath) -> list[str]:
        """The names of a folder's objects; none where it is not there.

        Raises:
            StoreError: see the class.
        """
        selector = fs.FileSelector(self._at(folder), allow_not_found=True)
        with self._errors():
            found = self._system.get_file_info(selector)
        return [one.base_name for one in found if one.type == fs.FileType.File]

    def remove(self, path: PurePosixPath) -> None:
        """Remove an object that may be gone already.

        Raises:
            StoreError: see the class.
        """
        with self._errors(), suppress(FileNotFoundError):
            self._system.delete_file(self._at(path))

    def _at(self, path: PurePosixPath) -> str:
        return f"{self._root}/{path}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """One kind of error, in one line that says which store."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{self._place}: {reason_of(error)}") from None


def _file_system(place: StorePlace) -> fs.FileSystem:
    parameters: dict[str, Any] = dict(place.parameters)
    if place.scheme == "gs":
        limit = timedelta(seconds=ATTEMPTS * SILENT_SECONDS)
        return fs.GcsFileSystem(retry_time_limit=limit, **parameters)
    return fs.S3FileSystem(
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # one request for a small object in place of three
        **parameters,
    )
