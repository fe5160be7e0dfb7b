"""The upload page at work: takes pictures, has them read, described and compressed, and remembers results."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from receiver.viewer.upload.bounds import Bounds
from receiver.viewer.upload.coding import Describe, Described, Make, Request, build_coder
from receiver.viewer.upload.reading import Read, Seen, build_reader
from receiver.viewer.upload.receiving import receive_file
from receiver.viewer.upload.shelf import Entry, Shelf
from receiver.viewer.upload.state import (
    ORIGINAL,
    Caption,
    CodecFacts,
    Made,
    Order,
    Result,
    Step,
    Upload,
    new_result,
    with_result,
)
from receiver.viewer.upload.tasks import Tasks
from receiver.viewer.upload.turns import BusyError, Place, Turns
from shared.errors import LimitError, SidewireError
from shared.workers import WorkerProcess

__all__ = ["GoneError", "NotReadyError", "Studio"]

#: A visitor's file, until it is read.
UPLOADED = "uploaded"
RESULT_ID_BYTES = 8
SWEEP_SECONDS = 30.0


class GoneError(SidewireError):
    """There is no such picture, or not any more."""


class NotReadyError(SidewireError):
    """A picture has not been read yet, or cannot be."""


class Studio:
    """Everything behind the upload page but HTTP.

    Args:
        folder: for pictures, its alone; what it holds is deleted at the end.
        captioner: folder of a model that says what it sees; None for none.
        threads: that coding may take.
    """

    def __init__(
        self, folder: Path, captioner: Path | None, threads: int, bounds: Bounds | None = None
    ) -> None:
        self.bounds = bounds = bounds or Bounds()
        #: Whether pictures get captions by themselves.
        self.describes = captioner is not None
        self._shelf = Shelf(folder, bounds.pictures, bounds.kept_bytes, bounds.keep_seconds)
        self._reader: Turns[None, Read, Seen] = Turns(
            WorkerProcess("reading process", build_reader, bounds.answer_seconds),
            "pictures that come in or wait to be read",
            bounds.reading,
        )
        build = partial(build_coder, captioner, threads)
        self._coder: Turns[tuple[CodecFacts, ...], Request, Described | Made] = Turns(
            WorkerProcess("coding process", build, bounds.answer_seconds),
            "results that are made or wait",
            bounds.waiting,
        )
        self._tasks = Tasks()

    async def run(self) -> None:
        """Drop what is too old until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._shelf.sweep()

    async def close(self) -> None:
        """End what is under way, and delete all pictures."""
        await self._tasks.end_all()
        await asyncio.gather(self._reader.stop(), self._coder.stop())
        self._shelf.clear()

    async def codecs(self) -> tuple[CodecFacts, ...]:
        """What can be chosen; the first who asks starts the coding process.

        Raises:
            SidewireError: that cannot be started.
        """
        return await self._coder.ready()

    def entry(self, id: str) -> Entry:
        """A picture that somebody looks at.

        Raises:
            GoneError: there is none of that id.
        """
        entry = self._shelf.get(id)
        if entry is None:
            minutes = self.bounds.keep_seconds / 60
            raise GoneError(
                "this picture is not here any more: pictures and results are kept for"
                f" {minutes:g} minutes after somebody has looked at them"
            )
        return entry

    def file(self, id: str, name: str) -> Path:
        """A file of a picture's that its state names.

        Raises:
            GoneError: there is none.
        """
        entry = self.entry(id)
        upload = entry.upload
        results = (file for one in upload.results for file in (one.picture, one.stream))
        if name and name in (upload.original, *results):
            return entry.folder / name
        raise GoneError("this picture has no such file")

    # Pictures

    async def take(self, chunks: AsyncIterator[bytes]) -> Upload:
        """A visitor's file as it comes; it is read behind this.

        Raises:
            BusyError: too many come in. LimitError: the file is too large.
            SidewireError: it is empty, stops coming, or cannot be kept.
        """
        place = self._reader.enter()
        folder = self._shelf.new_folder()
        try:
            bounds = self.bounds
            size = await receive_file(
                chunks, folder / UPLOADED, bounds.file_bytes, bounds.stall_seconds
            )
        except BaseException:
            self._reader.leave(place)
            shutil.rmtree(folder, ignore_errors=True)
            raise
        entry = self._shelf.add(folder, size)
        leave = partial(self._reader.leave, place)
        self._tasks.begin((folder.name, ""), self._read(entry, place), leave)
        return entry.upload

    async def _read(self, entry: Entry, place: Place) -> None:
        uploaded = entry.folder / UPLOADED
        try:
            seen = await self._reader.ask(place, Read(uploaded, entry.folder / ORIGINAL))
        except SidewireError as error:
            entry.put(replace(entry.upload, phase="failed", problem=str(error)))
            return
        finally:
            uploaded.unlink(missing_ok=True)
        read = replace(
            entry.upload,
            phase="ready",
            format=seen.format,
            width=seen.width,
            height=seen.height,
            original=ORIGINAL,
            caption=Caption("waiting" if self.describes else "none"),
        )
        entry.put(read)
        if self.describes:
            caption = await self._described(entry)
            entry.put(replace(entry.upload, caption=caption))

    async def _described(self, entry: Entry) -> Caption:
        try:
            place = self._coder.enter()
            answer = await self._coder.ask(place, Describe(entry.folder / ORIGINAL))
        except SidewireError as error:
            return Caption("failed", problem=str(error))
        assert isinstance(answer, Described)
        return Caption("done", answer.caption)

    async def drop(self, id: str) -> None:
        """Forget a picture, and end what is made for it.

        Raises:
            GoneError: there is none of that id.
        """
        self.entry(id)
        await self._tasks.end_all(id)
        self._shelf.drop(id)

    # Results

    def order(self, id: str, order: Order) -> Result:
        """Have a result made; what comes of it is news of the picture.

        Raises:
            GoneError, NotReadyError: there is no picture yet, or not any more.
            BusyError: too much waits. LimitError: this picture has too many results.
        """
        entry = self.entry(id)
        upload, bounds = entry.upload, self.bounds
        if upload.phase != "ready":
            raise NotReadyError(upload.problem or "this picture has not been read yet")
        if len(upload.results) >= bounds.results:
            count = len(upload.results) + 1
            raise LimitError("number of results of this picture", count, bounds.results)
        waiting = 1 + sum(not one.over for one in upload.results)
        if waiting > bounds.waiting_of_one:
            what = "number of results of this picture that are made or wait"
            raise BusyError(what, waiting, bounds.waiting_of_one)
        result_id = secrets.token_hex(RESULT_ID_BYTES)
        place = self._coder.enter(lambda before: self._change(entry, result_id, before=before))
        result = new_result(result_id, upload, order, place.before)
        entry.put(replace(upload, results=(*upload.results, result)))
        leave = partial(self._coder.leave, place)
        self._tasks.begin((id, result_id), self._make(entry, result_id, order, place), leave)
        return result

    async def _make(self, entry: Entry, id: str, order: Order, place: Place) -> None:
        stream, picture = entry.folder / f"{id}.swi", entry.folder / f"{id}.png"
        request = Make(entry.folder / ORIGINAL, order, stream, picture)
        noted = partial(self._noted, entry, id)
        try:
            made = await self._coder.ask(place, request, noted)
        except SidewireError as error:
            self._change(entry, id, phase="failed", problem=str(error), step=None)
            return
        self._change(
            entry,
            id,
            phase="done",
            step=None,
            made=made,
            picture=picture.name,
            stream=stream.name if stream.exists() else "",
        )

    def _noted(self, entry: Entry, id: str, step: Step) -> None:
        self._change(entry, id, phase="running", step=step)

    def _change(self, entry: Entry, id: str, **values: Any) -> None:
        result = entry.upload.result(id)
        if result is not None:
            entry.put(with_result(entry.upload, replace(result, **values)))

    async def remove(self, id: str, result_id: str) -> None:
        """Forget a result; one that is being made is ended.

        Raises:
            GoneError: there is none.
        """
        entry = self.entry(id)
        if entry.upload.result(result_id) is None:
            raise GoneError("this picture has no such result")
        left = tuple(one for one in entry.upload.results if one.id != result_id)
        entry.put(replace(entry.upload, results=left))
        await self._tasks.end((id, result_id))
        for file in entry.folder.glob(f"{result_id}.*"):
            file.unlink(missing_ok=True)
