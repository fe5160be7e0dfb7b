"""A gateway as an async Ray actor: the same receiver as ``sidewire receive``, placed by the cluster."""

from __future__ import annotations

import asyncio

from cluster.actors.metrics import GatewayMetrics
from cluster.actors.pool import RayPool
from cluster.actors.roster import PoolSpec
from receiver.gateway import Left
from receiver.serve import Addresses, receive
from receiver.settings import ReceiveSettings
from shared.locks import only_one

__all__ = ["GatewayActor"]


class GatewayActor:
    """An async actor that needs no CPU of its own: ``ray.remote(GatewayActor).options(num_cpus=0)``.

    It owns whole streams; its ledger's folder must outlive it, as senders come back to it.
    """

    def __init__(self, settings: ReceiveSettings, spec: PoolSpec, namespace: str) -> None:
        self._settings = settings
        self._spec = spec
        self._namespace = namespace
        self._stop = asyncio.Event()
        self._running: asyncio.Task[Left]

    async def start(self) -> Addresses:
        """Where senders may come.

        Raises:
            SidewireError: as :func:`receiver.serve.receive`.
        """
        ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._receive(ready))
        await asyncio.wait((ready, self._running), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await self._running
        return ready.result()

    async def stop(self) -> Left:
        """Take nothing new, finish what is held; what is left."""
        self._stop.set()
        return await self._running

    async def _receive(self, ready: asyncio.Future[Addresses]) -> Left:
        with only_one(self._settings.state):
            return await receive(
                self._settings,
                self._stop,
                ready.set_result,
                pool=RayPool(self._spec, self._namespace, self._settings.decode_seconds),
                observer=GatewayMetrics(self._settings.images),
            )
