"""Invariant: decoders on Ray that end together cost no picture, and who has no room holds up nobody."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from cluster.actors.pool import RayPool
from cluster.actors.roster import DecoderState, PoolSpec, PoolStatus
from cluster.actors.runtime import connected
from cluster.actors.supervisor import find_supervisor
from cluster.benchmarks.sleeping import SleepingSettings
from cluster.trials.frames import frame
from receiver.work import DecodeResult, DecodeTask, Frame, Key
from tests.patience import PATIENCE

ray = pytest.importorskip("ray")

#: CPUs of the cluster by its own account: so many decoders have room, whatever the machine has.
ROOM = 3
LOOK_SECONDS = 0.05


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    with connected(cpus=ROOM):
        yield


@asynccontextmanager
async def pool(decoders: int, seconds: float) -> AsyncIterator[tuple[RayPool, str]]:
    """A gateway's pool of decoders that sleep so long over a picture, and its namespace."""
    namespace = f"test-{secrets.token_hex(4)}"
    ours = RayPool(PoolSpec(SleepingSettings(seconds), decoders), namespace)
    await ours.start()
    try:
        yield ours, namespace
    finally:
        await ours.close()
        supervisor = find_supervisor(namespace)
        await supervisor.stop.remote()
        ray.kill(supervisor)


async def states(
    namespace: str, want: Callable[[dict[str, DecoderState]], bool]
) -> dict[str, DecoderState]:
    """The decoders that answer, as soon as they are as wanted."""
    async with asyncio.timeout(PATIENCE):
        while True:
            status = await find_supervisor(namespace).status.remote()
            assert isinstance(status, PoolStatus)
            found = {name: one for name, one in status.decoders.items() if one is not None}
            if want(found):
                return found
            await asyncio.sleep(LOOK_SECONDS)


def picture() -> DecodeTask:
    blob = frame(0).container
    return DecodeTask(Frame(Key("camera", 1, 0), bytes(16), "photo", blob, False), None)


def test_decoders_that_die_together_are_no_pictures_fault() -> None:
    async def scenario() -> None:
        # As many wait for room: they take the places of those that die, which then have none.
        async with pool(2 * ROOM, seconds=2.0) as (ours, namespace):
            living = await states(namespace, lambda found: len(found) == ROOM)
            decoding = asyncio.create_task(ours.decode([picture()]))
            await states(namespace, lambda found: any(one.busy for one in found.values()))
            for one in living.values():
                os.kill(one.pid, signal.SIGKILL)
            (result,) = await asyncio.wait_for(decoding, PATIENCE)
            assert isinstance(result, DecodeResult), result

    asyncio.run(scenario())


def test_a_supervisor_begins_again_while_a_decoder_has_no_room() -> None:
    async def scenario() -> None:
        async with pool(ROOM + 1, seconds=0.0) as (ours, namespace):
            first = await states(namespace, lambda found: len(found) == ROOM)
            name, one = next(iter(first.items()))
            os.kill(one.pid, signal.SIGKILL)
            # The one that has waited takes its place.
            await states(
                namespace, lambda found: len(found) == ROOM and found.keys() != first.keys()
            )
            assert name in ours._roster.decoders
            number = ours._roster.number
            ray.kill(find_supervisor(namespace), no_restart=False)
            async with asyncio.timeout(PATIENCE):
                while ours._roster.number == number or len(ours._roster.decoders) < ROOM:
                    await asyncio.sleep(LOOK_SECONDS)
            assert ours._roster.coming == 1
            (result,) = await asyncio.wait_for(ours.decode([picture()]), PATIENCE)
            assert isinstance(result, DecodeResult), result

    asyncio.run(scenario())
