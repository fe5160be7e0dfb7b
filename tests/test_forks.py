"""Processes forked from one that is in the middle of gRPC's work, as a cluster's are from a receiver."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

CHILDREN = 100

SCRIPT = """
import asyncio, json, subprocess, sys
import receiver.gateway
import grpc

class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        async def answer(requests, context):
            async for request in requests:
                yield request
        return grpc.stream_stream_rpc_method_handler(answer)

def fork():
    child = subprocess.Popen([sys.executable, "-S", "-c", ""], preexec_fn=lambda: None)
    try:
        return child.wait(60)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()

async def main():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    over = asyncio.Event()

    async def requests():
        while not over.is_set():
            yield bytes(20_000)
            await asyncio.sleep(0)

    async def talk(channel):
        async with channel:
            return len([1 async for _ in channel.stream_stream("/echo/echo")(requests())])

    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}") for _ in range(4)]
    talks = [asyncio.create_task(talk(channel)) for channel in channels]
    codes = [await asyncio.to_thread(fork) for _ in range(int(sys.argv[1]))]
    over.set()
    answers = await asyncio.gather(*talks)
    await server.stop(0)
    print(json.dumps([codes, answers]))

asyncio.run(main())
"""


def test_a_forked_process_neither_crashes_nor_breaks_calls() -> None:
    """With gRPC's own support of forks 25 children of 100 crashed, and often all four calls broke."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(CHILDREN)],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    codes, answers = json.loads(done.stdout)
    assert Counter(codes) == {0: CHILDREN}
    assert all(answers)
