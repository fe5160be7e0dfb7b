"""The supervisor: starts decoders, scales them, gives them newer models; found by its name.

It stands beside the way of the pictures. Pools ask it who decodes, then talk to decoders themselves; Ray
starts a decoder that died again, and the supervisor too, which then finds its decoders by their names.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError

from cluster.actors.decoder import create_decoder
from cluster.actors.roster import (
    SUPERVISOR,
    DecoderState,
    Handle,
    ModelVersion,
    PoolSpec,
    PoolStatus,
    Roster,
)
from cluster.actors.runtime import ClusterError, cpus, gpus
from shared.errors import LimitError, SidewireError

__all__ = ["Supervisor", "find_supervisor", "start_supervisor"]

log = logging.getLogger("sidewire.supervisor")

PREFIX = "decoder-"
#: Seconds between two looks at a decoder that is being started again.
LOOK_SECONDS = 0.2
#: Seconds that a decoder's state may take in a status.
STATE_SECONDS = 5.0


class Supervisor:
    """An async actor. What it refuses it returns: errors that are raised would come as Ray's.

    Args:
        spec: for its first start; decoders that it finds count for more.
    """

    def __init__(self, spec: PoolSpec, namespace: str) -> None:
        self._spec = spec
        self._namespace = namespace
        self._decoders: dict[str, Handle] = {}
        self._model = ModelVersion(0, spec.settings)
        self._codecs: tuple[bytes, ...] = ()
        # Another number than before a restart.
        self._number = time.time_ns()
        self._attempts = 0
        self._one_change = asyncio.Lock()
        self._news = asyncio.Condition()

    async def roster(self, known: int) -> Roster | SidewireError:
        """Who decodes, as soon as that is another roster than the known one (0 for none). The first
        question starts the decoders."""
        async with self._one_change:
            try:
                if not self._decoders:
                    await self._begin()
            except SidewireError as error:
                return error
        async with self._news:
            await self._news.wait_for(lambda: self._number != known)
        return Roster(self._number, dict(self._decoders), self._model, self._codecs)

    async def scale(self, count: int) -> PoolStatus | SidewireError:
        """Have so many decoders. New ones have loaded the model when they are made known; old ones finish
        what they have."""
        async with self._one_change:
            try:
                await self._scale(count)
            except SidewireError as error:
                return error
        return await self.status()

    async def swap(self, generator: str) -> PoolStatus | SidewireError:
        """Another model for the same streams: a codec's name, or the folder of a bundle on every node.
        All decoders load it beside the old one, then take it up between two batches."""
        async with self._one_change:
            try:
                await self._swap(generator)
            except SidewireError as error:
                return error
        return await self.status()

    async def replace(self, name: str) -> None:
        """A pool says that Ray has given up a decoder: start another in its place."""
        async with self._one_change:
            decoder = self._decoders.get(name)
            if decoder is None or not await _is_dead(decoder):
                return
            del self._decoders[name]
            try:
                await self._scale(len(self._decoders) + 1)
            except SidewireError as error:
                log.error("a decoder cannot be replaced: %s", error)
            await self._publish()

    async def status(self) -> PoolStatus:
        """How it stands."""
        states = await asyncio.gather(*map(_state, self._decoders.values()))
        return PoolStatus(self._model, dict(zip(self._decoders, states, strict=True)))

    async def stop(self) -> None:
        """End all decoders when they have finished what they have; the supervisor is to be killed then."""
        async with self._one_change:
            await self._retire(list(self._decoders))

    # Inside; one change at a time

    async def _begin(self) -> None:
        """Take over the decoders that there are, or else start those of the spec."""
        named = [(one["namespace"], one["name"]) for one in ray.util.list_named_actors(True)]
        ours = [name for place, name in named if place == self._namespace]
        names = [name for name in ours if name.startswith(PREFIX)]
        found = {name: ray.get_actor(name, self._namespace) for name in names}
        dead = await asyncio.gather(*map(_is_dead, found.values()))
        found = {name: found[name] for name, gone in zip(names, dead, strict=True) if not gone}
        if not found:
            await self._scale(self._spec.decoders)
            return
        states = await asyncio.gather(*map(_state, found.values()))
        models = [state.model for state in states if state is not None and state.model is not None]
        self._model = max(models, key=lambda model: model.version, default=self._model)
        self._codecs = await self._prepare(self._model, found.values())
        self._decoders = found
        await self._publish()

    async def _scale(self, count: int) -> None:
        if count < 1:
            raise LimitError("decoders", count, 1, least=True)
        most = self._most()
        if count > most:
            raise LimitError("decoders", count, most)
        if count < len(self._decoders):
            await self._retire(list(self._decoders)[count:])
            return
        names = [PREFIX + secrets.token_hex(4) for _ in range(count - len(self._decoders))]
        born = {name: create_decoder(name, self._namespace, self._spec.gpus) for name in names}
        try:
            codecs = await self._prepare(self._model, born.values())
        except BaseException:
            for decoder in born.values():
                ray.kill(decoder)
            raise
        self._codecs = codecs or self._codecs
        self._decoders |= born
        await self._publish()

    def _most(self) -> int:
        """Decoders that the cluster has room for, as large as it is now."""
        most = cpus()
        return min(most, int(gpus() / self._spec.gpus)) if self._spec.gpus else most

    async def _prepare(
        self,
        model: ModelVersion,
        decoders: Iterable[Handle],
        successor_of: ModelVersion | None = None,
    ) -> tuple[bytes, ...]:
        """Have a model loaded by each; what it decodes.

        Raises:
            SidewireError: one of them cannot, or died over it.
        """
        try:
            answers: list[list[bytes] | SidewireError] = await asyncio.gather(
                *(one.prepare.remote(model, successor_of) for one in decoders)
            )
        except RayActorError as error:
            raise ClusterError(f"a decoder died as it started: {error}") from None
        codecs: list[bytes] = []
        for answer in answers:
            if isinstance(answer, SidewireError):
                raise answer
            codecs = answer
        return tuple(codecs)

    async def _swap(self, generator: str) -> None:
        settings = self._model.settings.successor(generator)
        self._attempts += 1
        newer = ModelVersion(self._model.version + self._attempts, settings)
        first, *others = self._decoders.values()
        # The first one finds out whether it can be done at all.
        codecs = await self._prepare(newer, [first], self._model)
        await self._prepare(newer, others, self._model)
        self._model, self._codecs, self._attempts = newer, codecs, 0
        await self._publish()

    async def _retire(self, names: list[str]) -> None:
        leaving = [self._decoders.pop(name) for name in names]
        await self._publish()
        for decoder in leaving:
            try:
                await decoder.drain.remote()
            except RayActorError:
                log.warning("a decoder died before it was told to end")
            ray.kill(decoder)

    async def _publish(self) -> None:
        async with self._news:
            self._number += 1
            self._news.notify_all()


async def _state(decoder: Handle) -> DecoderState | None:
    try:
        async with asyncio.timeout(STATE_SECONDS):
            state: DecoderState = await decoder.state.remote()
            return state
    except (RayActorError, TimeoutError):
        return None


async def _is_dead(decoder: Handle) -> bool:
    """Whether a decoder is dead for good: not one that Ray is starting again."""
    while True:
        try:
            await decoder.state.remote()
        except ActorUnavailableError:
            await asyncio.sleep(LOOK_SECONDS)
        except RayActorError:
            return True
        else:
            return False


def start_supervisor(spec: PoolSpec, namespace: str) -> Handle:
    """The supervisor of a namespace: the one that runs, or a new one. It needs no CPU of its own."""
    remote_class: Any = ray.remote(Supervisor)
    supervisor: Handle = remote_class.options(
        name=SUPERVISOR,
        namespace=namespace,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
    ).remote(spec, namespace)
    return supervisor


def find_supervisor(namespace: str) -> Handle:
    """The supervisor that runs.

    Raises:
        ClusterError: there is none.
    """
    try:
        supervisor: Handle = ray.get_actor(SUPERVISOR, namespace)
    except ValueError:
        raise ClusterError(
            f"no decoders run in namespace {namespace!r} of this cluster: start a receiver with --decoder ray"
        ) from None
    return supervisor
