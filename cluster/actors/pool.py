"""A gateway's view of the decoders on Ray: batches go to actors, and survive them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import ActorDiedError, RayActorError, RayError

from cluster.actors.decoder import until_it_answers
from cluster.actors.lifeline import Lifeline
from cluster.actors.room import Room
from cluster.actors.roster import Handle, PoolSpec, Roster
from cluster.actors.runtime import ClusterError, Connection, take_signals_back
from cluster.actors.supervisor import find_supervisor, start_supervisor
from receiver.decoders.batches import InspectTask, Results
from receiver.decoders.interface import DECODE_SECONDS, InspectingPool, Inspection
from receiver.decoders.repeating import decode_through_deaths
from receiver.work import DecodeTask
from shared.errors import SidewireError
from shared.wire.v1.types_pb2 import CodecId
from shared.workers import WorkerDiedError

__all__ = ["RayPool"]

log = logging.getLogger("sidewire.receiver")

#: Seconds that pass after a model could not be loaded, or the supervisor did not answer.
RETRY_SECONDS = 1.0
#: Seconds between two looks at whether the cluster is there.
WATCH_SECONDS = 0.5
#: Seconds between two looks at whether the decoders are there that have nothing to do.
ROUND_SECONDS = 2.0
#: Seconds in which a cluster that is not ours, or its decoders, may come back.
GRACE_SECONDS = 10.0
#: Seconds that finding or starting decoders may take after that.
JOIN_SECONDS = 300.0
#: Seconds that a decoder may take to say that it is there, most of them where it begins on a busy machine.
ANSWER_SECONDS = 300.0
#: Seconds between two times that a start of Ray is kept from our signals.
SIGNAL_SECONDS = 0.05
#: Seconds after which a start that waits for room says so.
PATIENCE_SECONDS = 15.0


class CutError(ClusterError):
    """The cluster, or its decoders, ended over a request."""


class RayPool(InspectingPool):
    """The decoders of a namespace, however many there are at the moment; needs :func:`connected`.

    Where a supervisor runs already its decoders are used as they are; else one is started, with those of
    ``spec``. Other gateways may use them too. :meth:`close` leaves them running: they end with their cluster.

    Args:
        timeout: seconds that a batch may take, the wait for other gateways' batches with it.
        connection: to start the cluster again where it is this process's own; None where that is not
            this pool's concern.
    """

    batch_limit = 8

    def __init__(
        self,
        spec: PoolSpec,
        namespace: str = "sidewire",
        timeout: float = DECODE_SECONDS,
        connection: Connection | None = None,
    ) -> None:
        self.width = spec.decoders
        self._spec = spec
        self._namespace = namespace
        self._timeout = timeout
        self._connection = connection
        self._supervisor: Handle
        self._lifeline: Lifeline
        self._roster: Roster
        #: Done when what is under way has lost its decoders; another one after each loss.
        self._loss: asyncio.Future[None]
        #: There is no supervisor any more.
        self._stopped = False
        #: Names of decoders that have answered, and have no batch of this gateway's; and of all others.
        self._idle: list[str] = []
        self._away: set[str] = set()
        self._change = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Sequence[CodecId]:
        """Find or start the decoders; where the cluster has no room for one yet, wait until it has.

        Raises:
            SidewireError: a model cannot be loaded.
        """
        await self._join()
        return self.codecs

    async def watch(self) -> None:
        """See :class:`DecoderPool`.

        Raises:
            ClusterError: the cluster or its decoders are gone, and do not come back.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self.trouble = await self._wrong()
            if self.trouble:
                log.error("nothing is decoded until this is mended: %s", self.trouble)
                await self._come_back()
                log.warning("decoding works again")
                self.trouble = ""

    async def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """See :class:`DecoderPool`."""
        while True:
            try:
                return await decode_through_deaths(self._decode, tasks)
            except CutError:
                log.warning("%d pictures are repeated when there are decoders again", len(tasks))

    async def inspect(
        self, container: bytes, caption: str | None, language: str = ""
    ) -> Inspection:
        """See :class:`InspectingPool`.

        Raises:
            WorkerDiedError: the decoder died over it.
        """
        seen = await self._ask("inspect", InspectTask(container, caption, language))
        if isinstance(seen, SidewireError):
            raise seen
        assert isinstance(seen, Inspection)
        return seen

    async def close(self) -> None:
        """Let go of the decoders."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # The cluster

    async def _join(self) -> None:
        """Find or start the supervisor, and follow it."""
        self._lifeline = Lifeline.here()
        self._supervisor = start_supervisor(self._spec, self._namespace)
        roster = await self._first_roster()
        if isinstance(roster, SidewireError):
            ray.kill(self._supervisor)
            raise roster
        if roster.model.settings != self._spec.settings:
            log.warning("decoders run already, with other settings: %s", roster.model.settings)
        self._loss = asyncio.get_running_loop().create_future()
        self._stopped = False
        await self._apply(roster)
        self._spawn(self._follow())
        self._spawn(self._look_round())
        address = ray.get_runtime_context().gcs_address
        log.info("%d decoders on the Ray cluster at %s", len(roster.decoders), address)
        if roster.coming:
            asked = len(roster.decoders) + roster.coming
            why = Room.now(self._spec.gpus).why
            some = f"{len(roster.decoders)} of {asked} decoders (decoder_processes) run"
            log.warning("%s, the others start as there is room: %s", some, why)

    async def _first_roster(self) -> Roster | SidewireError:
        asking: asyncio.Future[Any] = asyncio.ensure_future(self._supervisor.roster.remote(0))
        room = Room.now(self._spec.gpus)
        await asyncio.wait([asking], timeout=PATIENCE_SECONDS if room.most else 0.0)
        if not asking.done():
            waits = "for a decoder" if room.most else "until a decoder has room"
            log.warning("waiting %s: %s", waits, room.why)
        answer: Roster | SidewireError = await asking
        return answer

    async def _wrong(self) -> str:
        """What keeps all batches from being decoded; empty where all is well."""
        cut = await self._lifeline.cut()
        if cut or not self._stopped:
            return cut
        return "the decoders were stopped (sidewire decoders stop)"

    async def _come_back(self) -> None:
        """Start a cluster of our own again, or wait a while for one that is not; then go on there.

        Raises:
            ClusterError: it does not come back.
        """
        own = self._connection if self._connection is not None and self._connection.own else None
        if own is not None and await self._lifeline.cut():
            await self._lose()
            restarting = asyncio.wrap_future(own.restart())
            while not restarting.done():
                await asyncio.wait([restarting], timeout=SIGNAL_SECONDS)
                take_signals_back()
            restarting.result()
        else:
            await self._wait_for_others()
            await self._lose()
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await self._join()
        except TimeoutError:
            raise ClusterError(f"no decoders in {JOIN_SECONDS:g} s after: {self.trouble}") from None

    async def _wait_for_others(self) -> None:
        """Until the cluster is there again, or decoders are that somebody has started."""
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                while await self._lifeline.cut() or (self._stopped and not self._supervised()):
                    await asyncio.sleep(WATCH_SECONDS)
        except TimeoutError:
            raise ClusterError(f"no decoders: {self.trouble}") from None

    async def _lose(self) -> None:
        """Give up what is under way: the batches are repeated where decoders are next."""
        await self.close()
        async with self._change:
            self._idle, self._away = [], set()
            self._loss.set_result(None)

    def _supervised(self) -> bool:
        try:
            find_supervisor(self._namespace)
        except ClusterError:
            return False
        return True

    # Decoders

    async def _decode(self, tasks: Sequence[DecodeTask]) -> Results:
        while True:
            results: Results | SidewireError = await self._ask("decode", tasks)
            if not isinstance(results, SidewireError):
                return results
            log.error("a decoder cannot load its model: %s", results)
            await asyncio.sleep(RETRY_SECONDS)

    async def _ask(self, method: str, request: object) -> Any:
        """The answer of a decoder that is free.

        Raises:
            WorkerDiedError: it died over this request, or took too long and was ended.
            CutError: it is gone with its cluster.
        """
        async with self._change:
            await self._change.wait_for(lambda: bool(self._idle))
            name = self._idle.pop(0)
            self._away.add(name)
        decoder, loss = self._roster.decoders[name], self._loss
        try:
            asking = getattr(decoder, method).remote(self._roster.model, request)
            answer = await self._unless_lost(asyncio.ensure_future(asking), loss)
        except TimeoutError:
            ray.kill(decoder, no_restart=False)
            self._spawn(self._await_after(name, asking))
            raise WorkerDiedError(f"{name} gave no answer in {self._timeout:g} s") from None
        except RayActorError:
            self._spawn(self._await(name))
            await self._doubt_all()
            if await self._lifeline.cut():  # no picture's fault
                raise CutError("the decoders are gone") from None
            raise WorkerDiedError(f"{name} ended") from None
        except CutError:
            raise
        except BaseException:
            await self._return(name)
            raise
        await self._return(name)
        return answer

    async def _unless_lost(self, answer: asyncio.Future[Any], loss: asyncio.Future[None]) -> Any:
        """An answer, as long as there are decoders.

        Raises:
            TimeoutError: it took too long. CutError: there are none any more.
        """
        either: tuple[asyncio.Future[Any], ...] = (answer, loss)
        try:
            await asyncio.wait(either, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if loss.done():
                if answer.done():
                    answer.exception()  # of the loss itself
                raise CutError("the decoders are gone")
            if not answer.done():
                raise TimeoutError
            return answer.result()
        finally:
            answer.cancel()

    async def _return(self, name: str) -> None:
        async with self._change:
            self._away.discard(name)
            if name in self._roster.decoders:
                self._idle.append(name)
                self._change.notify()

    async def _look_round(self) -> None:
        """Have no picture go to a decoder that vanished as it had nothing to do: Ray may keep the picture
        until that decoder has room again."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            await self._doubt_all()

    async def _doubt_all(self) -> None:
        """Have all that are idle answer once more: a decoder may have died with its host, and others there
        with it. A picture that went from one of them to the next would count a death at each."""
        async with self._change:
            for name in self._idle:
                self._doubt(name)
            self._idle = []

    def _doubt(self, name: str) -> None:
        self._away.add(name)
        self._spawn(self._await(name))

    async def _await(self, name: str) -> None:
        """Give a decoder work as soon as it answers; one that is dead for good has to be replaced, and one
        that says nothing for too long started again. (One that has no room yet loses nothing by that.)"""
        while name in self._roster.decoders:
            decoder = self._roster.decoders[name]
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await until_it_answers(decoder)
                break
            except TimeoutError:
                ray.kill(decoder, no_restart=False)
            except RayActorError:
                await self._report(name)
                await asyncio.sleep(RETRY_SECONDS)
        await self._return(name)

    async def _await_after(self, name: str, asked: Any) -> None:
        """The same for one that is being ended over a request: until that has failed it still says that it is
        there, and would take the next picture with it."""
        with suppress(RayError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await asked
        await self._await(name)

    async def _report(self, name: str) -> None:
        try:
            await self._supervisor.replace.remote(name)
        except RayActorError:
            log.warning("the supervisor does not answer; asking again")

    # The roster

    async def _follow(self) -> None:
        while True:
            try:
                roster = await self._supervisor.roster.remote(self._roster.number)
            except ActorDiedError:
                self._stopped = True
                return
            except RayActorError as error:
                roster = SidewireError(str(error))
            if isinstance(roster, SidewireError):
                log.error("the supervisor of the decoders is in trouble: %s", roster)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await self._apply(roster)
                log.info("%d decoders run", len(roster.decoders))

    async def _apply(self, roster: Roster) -> None:
        async with self._change:
            self._roster = roster
            self.codecs = [CodecId.FromString(one) for one in roster.codecs]
            self.width = max(1, len(roster.decoders))
            self._idle = [name for name in self._idle if name in roster.decoders]
            for name in roster.decoders.keys() - self._away - set(self._idle):
                self._doubt(name)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
