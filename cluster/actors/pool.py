"""A gateway's view of the decoders on Ray: batches go to actors, and survive them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError

from cluster.actors.roster import Handle, PoolSpec, Roster
from cluster.actors.supervisor import LOOK_SECONDS, start_supervisor
from receiver.decoders.batches import InspectTask, Results
from receiver.decoders.interface import InspectingPool, Inspection
from receiver.decoders.repeating import decode_through_deaths
from receiver.work import DecodeTask
from shared.errors import SidewireError
from shared.wire.v1.types_pb2 import CodecId
from shared.workers import WorkerDiedError

__all__ = ["RayPool"]

log = logging.getLogger("sidewire.receiver")

#: Seconds that pass after a model could not be loaded, or the supervisor did not answer.
RETRY_SECONDS = 1.0


class RayPool(InspectingPool):
    """The decoders of a namespace, however many there are at the moment; needs :func:`connected`.

    Where a supervisor runs already its decoders are used as they are; else one is started, with those of
    ``spec``. Other gateways may use them too. :meth:`close` leaves them running: they end with their cluster.

    Args:
        timeout: seconds that a batch may take, the wait for other gateways' batches with it.
    """

    batch_limit = 8

    def __init__(self, spec: PoolSpec, namespace: str = "sidewire", timeout: float = 120.0) -> None:
        self.width = spec.decoders
        self._spec = spec
        self._namespace = namespace
        self._timeout = timeout
        self._supervisor: Handle
        self._roster: Roster
        #: Names of decoders without a batch of this gateway's.
        self._idle: list[str] = []
        self._away: set[str] = set()
        self._change = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Sequence[CodecId]:
        """Find or start the decoders.

        Raises:
            SidewireError: a model cannot be loaded, or the cluster has no room for the decoders.
        """
        self._supervisor = start_supervisor(self._spec, self._namespace)
        roster = await self._supervisor.roster.remote(0)
        if isinstance(roster, SidewireError):
            ray.kill(self._supervisor)
            raise roster
        if roster.model.settings != self._spec.settings:
            log.warning("decoders run already, with other settings: %s", roster.model.settings)
        await self._apply(roster)
        self._spawn(self._follow())
        address = ray.get_runtime_context().gcs_address
        log.info("%d decoders on the Ray cluster at %s", len(roster.decoders), address)
        return [CodecId.FromString(one) for one in roster.codecs]

    async def decode(self, tasks: Sequence[DecodeTask]) -> Results:
        """See :class:`DecoderPool`."""
        return await decode_through_deaths(self._decode, tasks)

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
        """
        async with self._change:
            await self._change.wait_for(lambda: bool(self._idle))
            name = self._idle.pop(0)
            self._away.add(name)
        decoder = self._roster.decoders[name]
        try:
            async with asyncio.timeout(self._timeout):
                answer = await getattr(decoder, method).remote(self._roster.model, request)
        except TimeoutError:
            ray.kill(decoder, no_restart=False)
            self._spawn(self._mend(name, decoder))
            raise WorkerDiedError(f"{name} gave no answer in {self._timeout:g} s") from None
        except RayActorError:
            self._spawn(self._mend(name, decoder))
            raise WorkerDiedError(f"{name} ended") from None
        except BaseException:
            await self._return(name)
            raise
        await self._return(name)
        return answer

    async def _return(self, name: str) -> None:
        async with self._change:
            self._away.discard(name)
            if name in self._roster.decoders:
                self._idle.append(name)
                self._change.notify()

    async def _mend(self, name: str, decoder: Handle) -> None:
        """Wait until a decoder that died has been started again."""
        while name in self._roster.decoders:
            try:
                await decoder.state.remote()
                break
            except ActorUnavailableError:
                await asyncio.sleep(LOOK_SECONDS)
            except RayActorError:
                await self._report(name)
                await asyncio.sleep(RETRY_SECONDS)
        await self._return(name)

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
            except RayActorError as error:
                roster = SidewireError(str(error))
            if isinstance(roster, SidewireError):
                log.error("the supervisor of the decoders is in trouble: %s", roster)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await self._apply(roster)

    async def _apply(self, roster: Roster) -> None:
        async with self._change:
            self._roster = roster
            self.width = max(1, len(roster.decoders))
            self._idle = [name for name in roster.decoders if name not in self._away]
            self._change.notify_all()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
