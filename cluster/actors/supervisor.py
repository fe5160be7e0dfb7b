"""The supervisor: starts decoders, scales them, gives them newer models; found by its name.

It stands beside the way of the pictures. Pools ask it who decodes, then talk to decoders themselves; Ray
starts a decoder that died again, and the supervisor too, which then finds its decoders by their names.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError

from cluster.actors.decoder import create_decoder, is_dead, prepared, state_of
from cluster.actors.room import Room
from cluster.actors.roster import (
    SUPERVISOR,
    Handle,
    ModelVersion,
    PoolSpec,
    PoolStatus,
    Roster,
)
from cluster.actors.runtime import ClusterError
from shared.errors import LimitError, SidewireError

__all__ = ["Supervisor", "find_supervisor", "start_supervisor"]

log = logging.getLogger("sidewire.supervisor")

PREFIX = "decoder-"
#: Seconds that new decoders are waited for: they load the model, or there is no room for them yet.
SETTLE_SECONDS = 20.0
#: What only the head of a cluster has: it goes when the cluster goes, where other hosts come and go.
ON_THE_HEAD = {"node:__internal_head__": 0.001}


@dataclass(frozen=True, slots=True)
class Coming:
    """A decoder that pools do not know yet: it loads the model, or waits for a node that has room."""

    decoder: Handle
    welcome: asyncio.Task[None]


class Supervisor:
    """An async actor. What it refuses it returns: errors that are raised would come as Ray's.

    Args:
        spec: for its first start; decoders that it finds count for more.
    """

    def __init__(self, spec: PoolSpec, namespace: str) -> None:
        self._spec = spec
        self._namespace = namespace
        self._decoders: dict[str, Handle] = {}
        self._coming: dict[str, Coming] = {}
        #: Why the last one that was to come did not.
        self._refusal: SidewireError = ClusterError("no decoder has been asked for")
        self._model = ModelVersion(0, spec.settings)
        self._codecs: tuple[bytes, ...] = ()
        # Another number than before a restart.
        self._number = time.time_ns()
        self._attempts = 0
        self._over = False
        self._one_change = asyncio.Lock()
        self._news = asyncio.Condition()

    async def roster(self, known: int) -> Roster | SidewireError:
        """Who decodes, as soon as that is another roster than the known one (0 for none). The first
        question starts the decoders, and is answered when all that have room are there, or one of them
        after a while: where there is no room yet, it waits."""
        async with self._one_change:
            if not self._decoders and not self._coming and not self._over:
                await self._begin()
        if self._over:  # who asks hears the end of this actor
            await asyncio.Event().wait()
        if not await self._first():
            return self._refusal
        async with self._news:
            await self._news.wait_for(lambda: self._number != known)
        coming = len(self._coming)
        return Roster(self._number, dict(self._decoders), self._model, self._codecs, coming)

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
            if decoder is None or not await is_dead(decoder):
                return
            del self._decoders[name]
            try:
                await self._settled(self._start(1))
            except SidewireError as error:
                log.error("a decoder cannot be replaced: %s", error)
            await self._publish()

    async def status(self) -> PoolStatus:
        """How it stands."""
        decoders = dict(self._decoders)  # others may come and go meanwhile
        states = await asyncio.gather(*map(state_of, decoders.values()))
        known = dict(zip(decoders, states, strict=True))
        return PoolStatus(self._model, known | dict.fromkeys(self._coming))

    async def stop(self) -> None:
        """End all decoders when they have finished what they have; the supervisor is to be killed then."""
        async with self._one_change:
            self._over = True
            self._send_away(list(self._coming))
            await self._retire(list(self._decoders))

    # Inside; one change at a time

    async def _begin(self) -> None:
        """Take over the decoders that there are, or else start those of the spec."""
        named = [(one["namespace"], one["name"]) for one in ray.util.list_named_actors(True)]
        ours = [name for place, name in named if place == self._namespace]
        names = [name for name in ours if name.startswith(PREFIX)]
        found = {name: ray.get_actor(name, self._namespace) for name in names}
        states, dead = await asyncio.gather(
            asyncio.gather(*map(state_of, found.values())),
            asyncio.gather(*map(is_dead, found.values())),
        )
        models = [state.model for state in states if state is not None and state.model is not None]
        self._model = max(models, key=lambda model: model.version, default=self._model)
        living = {name: found[name] for name, gone in zip(names, dead, strict=True) if not gone}
        for name, decoder in living.items():
            self._expect(name, decoder)
        if not living:
            self._start(self._spec.decoders)
        room = Room.now(self._spec.gpus).most
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS), self._news:
                await self._news.wait_for(lambda: not self._coming or len(self._decoders) >= room)

    async def _first(self) -> bool:
        """Wait for the first decoder; False where none is going to come."""
        async with self._news:
            await self._news.wait_for(lambda: bool(self._decoders) or not self._coming)
        return bool(self._decoders)

    async def _scale(self, count: int) -> None:
        if count < 1:
            raise LimitError("decoders", count, 1, least=True)
        Room.now(self._spec.gpus).check(count)
        more = count - len(self._decoders) - len(self._coming)
        if more > 0:
            await self._settled(self._start(more))
            return
        staying = max(0, len(self._coming) + more)
        self._send_away(list(self._coming)[staying:])
        if count < len(self._decoders):
            await self._retire(list(self._decoders)[count:])

    # Decoders that come

    def _start(self, count: int) -> list[str]:
        """Start more decoders; those that the cluster has no room for begin when it has."""
        names = [PREFIX + secrets.token_hex(4) for _ in range(count)]
        for name in names:
            self._expect(name, create_decoder(name, self._namespace, self._spec.gpus))
        return names

    def _expect(self, name: str, decoder: Handle) -> None:
        welcome = asyncio.create_task(self._welcome(name, decoder))
        self._coming[name] = Coming(decoder, welcome)

    async def _welcome(self, name: str, decoder: Handle) -> None:
        """Make a decoder known when it has loaded the model, or give it up."""
        try:
            while True:
                model = self._model
                codecs = await self._prepare(model, [decoder])
                if model == self._model:  # no newer one has come meanwhile
                    break
        except SidewireError as error:
            log.error("a decoder cannot start: %s", error)
            self._refusal = error
            del self._coming[name]
            ray.kill(decoder)
            if not self._decoders:  # what one of them cannot do at the start, none can
                self._send_away(list(self._coming))
        else:
            del self._coming[name]
            self._codecs = codecs
            self._decoders[name] = decoder
        await self._publish()

    async def _settled(self, names: Sequence[str]) -> None:
        """Wait until these have come, at most for a while: they may have to wait for room.

        Raises:
            SidewireError: one of them cannot start; the others are sent away.
        """
        welcomes = [self._coming[name].welcome for name in names]
        await asyncio.wait(welcomes, timeout=SETTLE_SECONDS)
        missing = [name for name in names if name not in self._decoders | self._coming]
        if missing:
            self._send_away([name for name in names if name in self._coming])
            await self._retire([name for name in names if name in self._decoders])
            raise self._refusal

    def _send_away(self, names: Sequence[str]) -> None:
        for name in names:
            one = self._coming.pop(name)
            one.welcome.cancel()
            ray.kill(one.decoder)

    # Models

    async def _prepare(
        self,
        model: ModelVersion,
        decoders: Iterable[Handle],
        successor_of: ModelVersion | None = None,
    ) -> tuple[bytes, ...]:
        """Have a model loaded by each; what it decodes.

        Args:
            successor_of: see :meth:`DecoderActor.prepare`. Who asks for one hears before long of a decoder
                that has no room; all others wait until it has.

        Raises:
            SidewireError: one of them cannot, or died over it.
        """
        patience = None if successor_of is None else SETTLE_SECONDS
        try:
            answers = await asyncio.gather(
                *(prepared(one, model, successor_of, patience) for one in decoders)
            )
        except RayActorError as error:
            raise ClusterError(f"a decoder died as it started: {error}") from None
        except TimeoutError:
            why = Room.now(self._spec.gpus).why
            raise ClusterError(
                f"a decoder does not answer in {SETTLE_SECONDS:g} s: {why}"
            ) from None
        codecs: list[bytes] = []
        for answer in answers:
            if isinstance(answer, SidewireError):
                raise answer
            codecs = answer
        return tuple(codecs)

    async def _swap(self, generator: str) -> None:
        if not self._decoders:
            raise ClusterError("no decoder has started yet")
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


def start_supervisor(spec: PoolSpec, namespace: str) -> Handle:
    """The supervisor of a namespace: the one that runs, or a new one, on the cluster's head. It needs no
    CPU of its own."""
    remote_class: Any = ray.remote(Supervisor)
    supervisor: Handle = remote_class.options(
        name=SUPERVISOR,
        namespace=namespace,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        resources=ON_THE_HEAD,
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
