"""Health a service, and reflection behind its flag."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from shared.wire.errors import Reason
from tests.conformance.peer import refused
from tests.hostile import NO_TEXT, FullDisk
from tests.patience import PATIENCE
from tests.wire_client import IMAGES, Local, good, receiving

SERVICES = ["ControlService", "ImageChannelService", "CaptionChannelService"]


async def health(local: Local, address: str, service: str) -> Any:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE)
        return answer.status


def test_health_a_service(tmp_path: Path) -> None:
    serving, not_serving = (
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    )

    async def run() -> None:
        sink = FullDisk()
        async with receiving(tmp_path, sink=sink) as local:
            names = ["", *(f"sidewire.v1.{service}" for service in SERVICES)]

            async def becomes(status: Any) -> None:
                for name in names:
                    async with grpc.aio.insecure_channel(local.images) as channel:
                        request = health_pb2.HealthCheckRequest(service=name)
                        watch = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=PATIENCE)
                        async for answer in watch:
                            if answer.status == status:
                                break

            await becomes(serving)
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await health(local, local.images, "sidewire.v1.NoService")
            assert unknown.value.code() is grpc.StatusCode.NOT_FOUND

            peer = await local.peer()
            images = await local.talk(peer, IMAGES)
            await images.send(frame=images.frame(0, good(0)))
            await becomes(not_serving)  # the disk is full
            sink.full = False
            await becomes(serving)
            assert (await images.end_of(0)).disposition == NO_TEXT

            sink.full = True  # it drains for as long as this frame has not ended
            await images.send(frame=images.frame(1, good(1)))
            await becomes(not_serving)
            draining = asyncio.create_task(local.gateway.drain(PATIENCE))
            await images.until(lambda: images.positions.cumulative == 1)
            await becomes(not_serving)
            await images.send(frame=images.frame(2, good(2)))
            await images.refusal_of(2, Reason.DRAINING)
            await refused(peer.open(IMAGES), Reason.DRAINING)
            sink.full = False
            assert (await images.end_of(1)).disposition == NO_TEXT
            assert (await draining).frames == 0

    asyncio.run(run())


@pytest.mark.parametrize("shown", [True, False])
def test_reflection_is_behind_its_flag(tmp_path: Path, shown: bool) -> None:
    async def run() -> None:
        async with receiving(tmp_path, reflection=shown) as local:
            for address, service in ((local.images, SERVICES[1]), (local.captions, SERVICES[2])):
                async with grpc.aio.insecure_channel(address) as channel:
                    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
                    call = stub.ServerReflectionInfo(timeout=PATIENCE)
                    request = reflection_pb2.ServerReflectionRequest(list_services="")
                    with contextlib.suppress(*() if shown else (grpc.aio.AioRpcError,)):
                        await call.write(request)  # the answer may be quicker
                    if not shown:
                        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
                        continue
                    answer = await call.read()
                    names = {one.name for one in answer.list_services_response.service}
                    assert {"grpc.health.v1.Health", f"sidewire.v1.{service}"} <= names

    asyncio.run(run())
