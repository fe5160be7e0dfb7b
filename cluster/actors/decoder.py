"""A decoder as a Ray actor: any :class:`receiver.decoders.batches.BatchDecoder`, one model at a time.

It decodes one batch after the other. Questions and newer models come on a thread of their own, so
neither waits for a batch, and no batch waits for a model to load.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError

from cluster.actors.metrics import DecoderMetrics
from cluster.actors.roster import DecoderState, Handle, ModelVersion
from receiver.decoders.batches import BatchDecoder, InspectTask, Results, check_successor
from receiver.decoders.interface import Inspection
from receiver.work import DecodeTask
from shared.errors import SidewireError

__all__ = ["DecoderActor", "create_decoder", "is_dead", "prepared", "state_of", "until_it_answers"]

log = logging.getLogger("sidewire.decoder")

#: Seconds between two looks at a decoder that is being started again.
LOOK_SECONDS = 0.2
#: Seconds that a decoder's state may take.
STATE_SECONDS = 5.0
#: A decoder that has died so often as it loaded a model will not do better.
DEATHS = 3


class DecoderActor:
    """Started empty, and again after each death: the first call that names a model loads it."""

    def __init__(self, name: str) -> None:
        self._loading = threading.Lock()
        self._current: tuple[ModelVersion, BatchDecoder] | None = None
        self._next: tuple[ModelVersion, BatchDecoder] | None = None
        self._busy = False
        self._pictures = 0
        self._metrics = DecoderMetrics(name)

    def decode(self, model: ModelVersion, tasks: Sequence[DecodeTask]) -> Results | SidewireError:
        """One answer a task, or why the model cannot be loaded. It decodes with the newest model that
        it was told of: an older one's streams are the same."""
        try:
            decoder = self._decoder(model)
        except SidewireError as error:
            return error
        began = time.perf_counter()
        self._busy = True
        try:
            results = decoder.decode(tasks)
        except BaseException:
            # Memory, above all. A process that starts anew is better than one that goes on like that.
            log.exception("this decoder ends")
            os._exit(1)
        self._busy = False
        self._pictures += len(tasks)
        self._metrics.decoded(results, time.perf_counter() - began)
        return results

    def inspect(self, model: ModelVersion, task: InspectTask) -> Inspection | SidewireError:
        """What a stream and its decoder do under a caption."""
        try:
            return self._decoder(model).inspect(task)
        except SidewireError as error:
            return error

    def drain(self) -> None:
        """Returns when all that came before has been done."""

    @ray.method(concurrency_group="control")
    def prepare(
        self, model: ModelVersion, successor_of: ModelVersion | None = None
    ) -> list[bytes] | SidewireError:
        """Load a model beside the one in use, for the first batch that names it.

        Args:
            successor_of: whose streams it must decode, all of them.

        Returns:
            Serialised :class:`CodecId` messages of what it decodes, or why it cannot take the place.
        """
        try:
            if successor_of is not None:
                older = self._decoder(successor_of)
            with self._loading:
                if self._current is not None and self._current[0] == model:
                    return self._current[1].codec_ids()
                newer = model.settings.build()
                if successor_of is not None:
                    check_successor(older, newer)
                if self._current is None:
                    self._current = (model, newer)
                else:
                    self._next = (model, newer)
        except SidewireError as error:
            return error
        return newer.codec_ids()

    @ray.method(concurrency_group="control")
    def state(self) -> DecoderState:
        """Answered while it decodes, too."""
        node = ray.get_runtime_context().get_node_id()
        model = self._current[0] if self._current else None
        return DecoderState(os.getpid(), node, model, self._busy, self._pictures)

    def _decoder(self, model: ModelVersion) -> BatchDecoder:
        """The decoder of a model, or of a newer one."""
        current = self._current
        if current is not None and current[0].version >= model.version:
            return current[1]
        with self._loading:
            if self._next is not None and self._next[0] == model:
                current = self._next
            else:
                current = (model, model.settings.build())
            self._current, self._next = current, None
        return current[1]


def create_decoder(name: str, namespace: str, gpus: float) -> Handle:
    """A decoder that outlives whoever started it, and that Ray starts again when it dies."""
    remote: Any = ray.remote  # its types know no groups
    decoder: Handle = (
        remote(concurrency_groups={"control": 1})(DecoderActor)
        .options(
            name=name,
            namespace=namespace,
            lifetime="detached",
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=-1,
            max_task_retries=0,
        )
        .remote(name)
    )
    return decoder


async def state_of(decoder: Handle) -> DecoderState | None:
    """A decoder about itself; None where it does not answer."""
    try:
        async with asyncio.timeout(STATE_SECONDS):
            state: DecoderState = await decoder.state.remote()
            return state
    except (RayActorError, TimeoutError):
        return None


async def until_it_answers(decoder: Handle) -> None:
    """Wait, however long it takes, for a decoder that Ray starts, or starts again, or has no room for yet.

    Raises:
        RayActorError: it is dead for good.
    """
    while True:
        try:
            await decoder.state.remote()
        except ActorUnavailableError:
            await asyncio.sleep(LOOK_SECONDS)
        else:
            return


async def is_dead(decoder: Handle) -> bool:
    """Whether a decoder is dead for good: not one that Ray is starting again, or has no room for."""
    try:
        async with asyncio.timeout(STATE_SECONDS):
            await until_it_answers(decoder)
    except RayActorError:
        return True
    except TimeoutError:
        pass
    return False


async def prepared(
    decoder: Handle,
    model: ModelVersion,
    successor_of: ModelVersion | None,
    patience: float | None,
) -> list[bytes] | SidewireError:
    """What a decoder says to a model (:meth:`DecoderActor.prepare`).

    Args:
        patience: seconds in which it must be there; None for as long as it takes.

    Raises:
        TimeoutError: it is not.
        RayActorError: it is dead for good, or died over the model time and again.
    """
    deaths = 0
    while True:
        async with asyncio.timeout(patience):
            await until_it_answers(decoder)
        try:
            answer: list[bytes] | SidewireError = await decoder.prepare.remote(model, successor_of)
        except ActorUnavailableError:
            deaths += 1
            if deaths == DEATHS:
                raise
        else:
            return answer
