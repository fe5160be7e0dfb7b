"""Memory of a receiver under attack: what its windows and HTTP/2's let clients make it hold, and no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cluster.trials.processes import receiver
from shared.wire.limits import READ_AHEAD
from tests.conformance.peer import Peer
from tests.hostile import goes_on
from tests.patience import PATIENCE
from tests.wire_client import CAPTIONS, IMAGES, good


def memory(pid: int, which: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (most so far) of a process, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == which:
            return int(value.split()[0]) << 10
    raise AssertionError(f"no {which} of process {pid}")


def test_memory_stays_within_the_windows(tmp_path: Path) -> None:
    """10,000 long captions, frames of the largest size, and clients that never read, all at once.

    Hundreds of megabytes are sent. What may be used for them is added up as docs/protocol.md does.
    """
    mega = 1 << 20
    windows = {"image_window_bytes": 8 * mega, "caption_window_bytes": 4 * mega}
    options = windows | {"frame_bytes": mega, "caption_wait": 600, "drain_seconds": 0}
    ahead = 4 * 2 * READ_AHEAD  # the calls below
    # One that arrives and the one before it, of the only call with large ones; five times the one looked at.
    messages = 7 * mega
    # What is loaded with the first messages, and the allocator's waste.
    interpreter = 16 * mega
    most = sum(windows.values()) + ahead + messages + interpreter
    words = [f"{name}={value}" for name, value in options.items()]
    words += ["decoder=benchmark-noop", "sink_kind=none"]
    settings = [word for one in words for word in ("--set", one)]

    async def attack(images: str, captions: str) -> None:
        peer = Peer(images, captions, [], PATIENCE)
        deaf = Peer(images, captions, [], PATIENCE)
        pictures = await peer.open(IMAGES)
        unread = await deaf.open(IMAGES)
        async with (
            peer.attach(IMAGES, pictures) as frames,
            peer.attach(CAPTIONS, pictures) as texts,
            deaf.attach(IMAGES, unread) as never_reads,
        ):
            largest = good(0, mega - 100)

            async def send_frames() -> None:
                for seq in range(100):
                    await frames.send(frame=frames.frame(seq, largest, expects_caption=True))

            async def send_captions() -> None:
                for number in range(10_000):
                    await texts.send(caption=texts.caption(1000 + number, "x" * 16_000))

            async def send_and_never_read() -> None:
                while True:
                    await never_reads.send_raw(b"\xff" * 2000)

            deafness = asyncio.create_task(send_and_never_read())
            answered = asyncio.gather(
                frames.until(lambda: len(frames.refusals) >= 100 - 8),
                texts.until(lambda: len(texts.refusals) >= 10_000 - (4 * mega) // 16_000),
            )
            await asyncio.gather(send_frames(), send_captions(), answered)
            # Meanwhile, and after it all, a good client is served.
            fine = Peer(images, captions, [], PATIENCE)
            async with fine.attach(IMAGES, await fine.open(IMAGES)) as good_client:
                await goes_on(good_client, 0)
            await fine.close()
            deafness.cancel()
        for one in (peer, deaf):
            await one.close()

    with receiver(tmp_path / "state", *settings) as running:
        pid = running.program.pid
        before = memory(pid, "VmRSS")
        asyncio.run(attack(running.images, running.captions))
        grown = memory(pid, "VmHWM") - before
        assert grown < most, f"{grown / mega:.0f} MB"
