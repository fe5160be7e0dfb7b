"""The way from the joiner's actions to facts: decode, write to the sink, commit, and only then let acks go.

One asyncio loop; the ledger and the sink live in one thread of their own, and what ends while it
writes is the next batch. A full disk stops acks, not the program: the batch is repeated until it
is stored, credits run dry meanwhile, and senders keep what they have.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from receiver.decoders.interface import DecoderPool
from receiver.joiner import Decode, Settle
from receiver.ledger import Ledger, StreamRow
from receiver.observer import Observer
from receiver.session import Compare, Found, LookUp, Session, Step, content_changed
from receiver.sinks.interface import Sink
from receiver.work import (
    Caption,
    DecodeFailure,
    DecodeResult,
    Delivery,
    End,
    caption_end,
    frame_end,
)
from shared.bitstream.container import Container
from shared.faults import reached
from shared.wire.errors import Reason, WireError
from shared.wire.streams import is_of_previews
from shared.wire.v1 import types_pb2 as wire

__all__ = ["Pipeline", "ends_of"]

log = logging.getLogger("sidewire.receiver")

#: Seconds that a commit waits for company, and between two tries on a full disk.
GATHER_SECONDS = 0.002
RETRY_SECONDS = 1.0
PURGE_SECONDS = 1.0
#: Kept containers that are forgotten in one go.
PURGE_ROWS = 500
#: Kept containers in memory at once because of late captions.
RECALLS_AT_ONCE = 32

#: Of pictures that share a batch: codec, width, height, and whether they are previews.
Shape = tuple[int, int, int, bool]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Work:
    """A decode that waits for a decoder."""

    session: Session
    decode: Decode


class Pipeline:
    """Everything between the joiners and the acks, of all streams of a gateway.

    Args:
        on_end: called with a session after its ends are durable, or its credits changed.
        observer: told of queue, waits and facts.
    """

    def __init__(
        self,
        ledger: Ledger,
        sink: Sink,
        pool: DecoderPool,
        commit_rows: int,
        on_end: Callable[[Session], None],
        now: Callable[[], float] = time.monotonic,
        observer: Observer | None = None,
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._pool = pool
        self._commit_rows = commit_rows
        self._on_end = on_end
        self._now = now
        self._observer = observer or Observer()
        self._storage = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        #: Groups take turns: a preview, which takes next to no time, never waits for its picture.
        self._waiting: dict[Shape, deque[Work]] = {}
        self._work_ready = asyncio.Event()
        #: Decodes that decoders are at.
        self._decoding = 0
        self._ends: deque[tuple[Session, End]] = deque()
        self._ends_ready = asyncio.Event()
        self._questions: asyncio.Queue[tuple[Session, LookUp]] = asyncio.Queue()
        #: Frames that a late caption brought back into memory.
        self._recalled: set[tuple[Session, int]] = set()
        self._recall_over = asyncio.Event()
        #: Why nothing is stored at present; empty while all is well.
        self._unstored = ""

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            StorageError: the ledger is damaged. SidewireError: the decoders are gone for good.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pool.watch())
            group.create_task(self._decode_batches())
            group.create_task(self._commit_batches())
            group.create_task(self._look_up())
            group.create_task(self._purge())

    def close(self) -> None:
        """Let the storage thread finish what it has begun; sink and ledger may be closed after."""
        self._storage.shutdown()

    @property
    def trouble(self) -> str:
        """Why nothing is acked at present; empty while all is well."""
        return self._unstored or self._pool.trouble

    @property
    def stalled(self) -> bool:
        """Nothing is decoded at present: waiting for what is held makes no sense."""
        return bool(self._pool.trouble)

    @property
    def queue(self) -> int:
        """Decodes that wait for a decoder."""
        return sum(map(len, self._waiting.values()))

    @property
    def decoding(self) -> int:
        """Decodes that decoders are at."""
        return self._decoding

    @property
    def observer(self) -> Observer:
        """Who watches; the channels tell it what comes and what is refused."""
        return self._observer

    @property
    def pool(self) -> DecoderPool:
        """What decodes."""
        return self._pool

    async def begin(self, row: StreamRow) -> None:
        """Store a stream as it enters an epoch, durable on return.

        Raises:
            WireError: STORAGE.
        """
        await self._write(lambda: self._ledger.begin(row))

    async def claim(self, stream_id: str) -> None:
        """Store that a picture sender has opened this stream.

        Raises:
            WireError: STORAGE.
        """
        await self._write(lambda: self._ledger.claim(stream_id))

    async def _write(self, call: Callable[[], None]) -> None:
        try:
            await self._in_storage(call)
        except (OSError, sqlite3.OperationalError) as error:
            raise WireError(Reason.STORAGE, f"nothing can be stored now: {error}") from None

    async def compare(self, session: Session, step: Compare) -> None:
        """Tell a session whether a frame that came again is the same.

        Raises:
            WireError: CONTENT_CHANGED.
        """
        known = await self._in_storage(lambda: self._ledger.content_id(step.key))
        if known is not None and known != step.content_id:
            raise content_changed(step.key)
        session.compared(step.key)

    def perform(self, session: Session, steps: Iterable[Step]) -> None:
        """Set the steps going; none of them blocks. (:class:`Compare` is :meth:`compare`'s.)"""
        for step in steps:
            if isinstance(step, Decode):
                self._enqueue(Work(session, step))
            elif isinstance(step, Settle):
                self._end(session, [step.end])
            elif isinstance(step, LookUp):
                self._questions.put_nowait((session, step))

    async def _in_storage(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._storage, call)

    async def _look_up(self) -> None:
        """Answer sessions' questions, one at a time: late captions are not in a hurry."""
        while True:
            session, question = await self._questions.get()
            while len(self._recalled) >= RECALLS_AT_ONCE:
                self._recall_over.clear()
                await self._recall_over.wait()
            found = await self._found(question.caption)
            steps = session.looked_up(question.caption, found)
            seq = question.caption.key.seq
            if found.kept is not None and seq in session.joiner:
                self._recalled.add((session, seq))
            self.perform(session, steps)
            self._on_end(session)

    async def _found(self, caption: Caption) -> Found:
        while True:
            try:
                return await self._in_storage(partial(self._ledger.look_up, caption))
            except (OSError, sqlite3.OperationalError) as error:
                log.error("a late caption waits until this is mended: %s", error)
                await asyncio.sleep(RETRY_SECONDS)

    def _let_go(self, session: Session, seq: int) -> None:
        """A frame that was recalled may not be in memory any more."""
        if session.fenced or seq not in session.joiner:
            self._recalled.discard((session, seq))
            self._recall_over.set()

    # Decoding

    def _enqueue(self, work: Work) -> None:
        header = Container.from_bytes(work.decode.task.frame.container).header
        previews = is_of_previews(work.decode.task.frame.key.stream_id)
        shape = (header.codec_id, header.width, header.height, previews)
        self._waiting.setdefault(shape, deque()).append(work)
        self._work_ready.set()
        self._observer.queued(self.queue)
        self._observer.waiting(work.decode.task)
        arrived_at = work.decode.task.frame.arrived_at
        if work.decode.first and arrived_at is not None:
            self._observer.joined(self._now() - arrived_at)

    def _next_batch(self) -> list[Work]:
        """Tasks of one codec and size; a group that has more goes to the end of the line. No decoder takes
        more than its share of all that is here: another one would have nothing to do meanwhile."""
        share = -(-(self.queue + self._decoding) // self._pool.width)
        shape = next(iter(self._waiting))
        group = self._waiting.pop(shape)
        size = min(self._pool.batch_limit, share, len(group))
        batch = [group.popleft() for _ in range(size)]
        self._decoding += size
        if group:
            self._waiting[shape] = group
        return batch

    async def _decode_batches(self) -> None:
        """Decode as many batches at once as the pool is wide; that it has grown shows with the next event."""
        under_way: set[asyncio.Task[None]] = set()

        def over(task: asyncio.Task[None]) -> None:
            under_way.discard(task)
            self._work_ready.set()

        async with asyncio.TaskGroup() as group:
            while True:
                self._work_ready.clear()
                while self._waiting and len(under_way) < self._pool.width:
                    task = group.create_task(self._decode_batch(self._next_batch()))
                    under_way.add(task)
                    task.add_done_callback(over)
                await self._work_ready.wait()

    async def _decode_batch(self, batch: Sequence[Work]) -> None:
        self._observer.queued(self.queue)
        live = [work for work in batch if not self._expired(work)]
        if live:
            tasks = [work.decode.task for work in live]
            self._observer.decoding(tasks)
            results = await self._pool.decode(tasks)
            self._observer.decoded(tasks)
            now = self._now()
            for work, result in zip(live, results, strict=True):
                self._end(work.session, ends_of(work.decode, result, now))
        self._decoding -= len(batch)

    def _expired(self, work: Work) -> bool:
        task = work.decode.task
        if task.frame.expires_at is None or task.frame.expires_at > self._now():
            return False
        ends = _failed(work.decode, wire.DISPOSITION_EXPIRED, "ttl is over")
        self._end(work.session, ends)
        return True

    # Storing

    def _end(self, session: Session, ends: Sequence[End]) -> None:
        self._ends.extend((session, end) for end in ends)
        self._ends_ready.set()

    async def _commit_batches(self) -> None:
        while True:
            if not self._ends:
                self._ends_ready.clear()
                await self._ends_ready.wait()
            if len(self._ends) < self._commit_rows:
                await asyncio.sleep(GATHER_SECONDS)
            count = min(self._commit_rows, len(self._ends))
            await self._commit([self._ends.popleft() for _ in range(count)])

    async def _commit(self, batch: Sequence[tuple[Session, End]]) -> None:
        while True:
            # An epoch that was fenced meanwhile has no ends any more: its sender has begun anew.
            by_session: dict[Session, list[End]] = {}
            for session, end in batch:
                if not session.fenced:
                    by_session.setdefault(session, []).append(end)
            after = {session: session.positions_after(ends) for session, ends in by_session.items()}
            rows = [StreamRow.of(session, *positions) for session, positions in after.items()]
            ends = [end for own in by_session.values() for end in own]
            began = self._now()
            try:
                deliveries = await self._in_storage(partial(self._store, ends, rows))
                break
            except (OSError, sqlite3.OperationalError) as error:
                await self._wait_out(error)
        while True:
            try:
                await self._in_storage(partial(self._sink.committed, deliveries))
                break
            except OSError as error:
                await self._wait_out(error)
        if self._unstored:
            log.warning("storing works again")
            self._unstored = ""
        self._observer.stored(len(ends), self._now() - began)
        for session, own in by_session.items():
            for end in own:  # before what follows from it
                self._observer.ended(end)
            self.perform(session, session.committed(own, *after[session]))
            self._on_end(session)
        for session, end in batch:
            self._let_go(session, end.key.seq)

    async def _wait_out(self, error: Exception) -> None:
        """Say once why nothing is stored, and wait until it is time to try again."""
        if self._unstored != str(error):
            log.error("nothing is acknowledged until this is mended: %s", error)
        self._unstored = str(error)
        await asyncio.sleep(RETRY_SECONDS)

    def _store(self, ends: Sequence[End], rows: Sequence[StreamRow]) -> Sequence[Delivery]:
        """Store outputs first, then the facts; what is to be shown. Runs in the storage thread."""
        deliveries = self._ledger.number(ends, time.time() - self._now())
        if deliveries:
            self._sink.write(deliveries)
            reached("gateway.after_output")
        self._ledger.commit(
            ends, deliveries, rows, lambda database: self._sink.record(database, deliveries)
        )
        reached("gateway.after_commit")
        return deliveries

    async def _purge(self) -> None:
        while True:
            await asyncio.sleep(PURGE_SECONDS)
            try:
                while await self._in_storage(lambda: self._ledger.purge(PURGE_ROWS)) == PURGE_ROWS:
                    pass  # ends are stored in between
            except sqlite3.OperationalError as error:
                log.warning("kept containers are not purged: %s", error)


def ends_of(
    decode: Decode, result: DecodeResult | DecodeFailure, now: float | None = None
) -> list[End]:
    """What a decoder's answer means, that came now: the end of the frame, of the caption, or of both."""
    task = decode.task
    if isinstance(result, DecodeFailure):
        return _failed(decode, wire.DISPOSITION_REJECTED, result.reason)
    if not decode.first:
        disposition = wire.DISPOSITION_DECODED_TEXT_LATE
    elif task.caption is not None:
        disposition = wire.DISPOSITION_DECODED_WITH_TEXT
    else:
        disposition = wire.DISPOSITION_DECODED_NO_TEXT
    end = End(
        key=task.frame.key,
        revision=task.revision,
        disposition=disposition,
        frame_ended=decode.first,
        caption_ended=task.caption is not None,
        frame=task.frame,
        caption=task.caption,
        picture=result.picture,
        media_type=result.media_type,
        decoded_at=now,
    )
    return [end]


def _failed(decode: Decode, disposition: wire.Disposition, reason: str) -> list[End]:
    """A frame that was not decoded, and the words that were to go with it."""
    task = decode.task
    if task.caption is None:
        return [frame_end(task.frame, disposition, reason)]
    words = caption_end(task.caption, disposition, reason)
    if decode.first:
        return [frame_end(task.frame, disposition, reason), words]
    return [replace(words, frame=task.frame)]
