"""Invariant: a request whose path is no text ends gRPC's loop, and the gateway listens again."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tests.wire_client import receiving

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, END_STREAM_AND_HEADERS = 4, 1, 5
#: ``:method POST`` and ``:scheme http`` (RFC 7541, Appendix A), then literals: names by index, or in full.
FIELDS = b"\x83\x86"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """RFC 9113, 4.1."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def text(value: bytes) -> bytes:
    """A string of less than 127 bytes, not Huffman coded."""
    return bytes([len(value)]) + value


def call(path: bytes) -> bytes:
    """All that a client says to begin a connection and call a method."""
    path_and_authority = b"\x04" + text(path) + b"\x01" + text(b"here")
    named = ((b"te", b"trailers"), (b"content-type", b"application/grpc"))
    literals = b"".join(b"\x00" + text(name) + text(value) for name, value in named)
    headers = FIELDS + path_and_authority + literals
    return PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, END_STREAM_AND_HEADERS, 1, headers)


async def say(address: str, words: bytes) -> None:
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(words)
    await writer.drain()
    writer.close()


async def answers(address: str) -> bool:
    """Whether anybody listens: a client that was refused once waits for twenty seconds."""
    try:
        await say(address, b"")
    except OSError:
        return False
    return True


def test_the_gateway_listens_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with receiving(tmp_path) as local:
            await say(local.images, call(b"/sidewire.v1.\xff/StreamImages"))
            async with asyncio.timeout(60):
                while "listens again" not in caplog.text or not await answers(local.images):
                    await asyncio.sleep(0.05)
            await local.serves()

    caplog.set_level(logging.ERROR)
    asyncio.run(scenario())
