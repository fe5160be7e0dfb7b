"""This machine's use: CPU time of processes by role, from proc(5), and of GPUs, from nvidia-smi if there."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cluster.bench.measured import GpuUse

__all__ = ["Usage", "by_role", "cpu_seconds", "descendants", "measured_usage", "seen_processes"]

TICKS = os.sysconf("SC_CLK_TCK")
LOOK_SECONDS = 1.0
QUERY = ("--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits")

Roles = Mapping[str, Collection[int]]


@dataclass
class Usage:
    """Filled in at the end of what is measured: cores that were busy in the mean by role, and GPUs."""

    cores: dict[str, float] = field(default_factory=dict)
    gpu: GpuUse | None = None


def cpu_seconds(pid: int) -> float:
    """Processor seconds that a process has used so far; 0 where it is gone."""
    try:
        values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(values[11]) + int(values[12])) / TICKS


def descendants(pid: int) -> set[int]:
    """Processes that a process has started, and those that they have."""
    found: set[int] = set()
    for one in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, one.read_text().split()):
                found |= {child} | descendants(child)
    return found


def by_role(senders: Collection[int], publishers: Collection[int], idle: Collection[int]) -> Roles:
    """This machine's processes of a run; this one is the gateway. What neither sends, encodes nor is
    idle decodes, Ray's own processes with it. What runs on other machines is left out: their decoders,
    and senders with their encoders; so are decoders of a cluster that ran before."""
    own = os.getpid()
    encoders = {child for sender in senders for child in descendants(sender)}
    decoders = descendants(own) - encoders - {*senders, *publishers, *idle}
    return {
        "gateway": {own},
        "senders": senders,
        "encoders": encoders,
        "publishers": publishers,
        "decoders": decoders,
    }


def seen_processes() -> str:
    """Whose processes proc(5) shows here: the same text to all processes that see each other, another
    on other machines and in other containers; empty without proc(5)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


@asynccontextmanager
async def measured_usage(roles: Callable[[], Roles]) -> AsyncIterator[Usage]:
    """Measure what runs inside."""
    usage = Usage()
    samples: list[GpuUse] = []
    watching = asyncio.create_task(_watch_gpus(samples))
    before = {pid: cpu_seconds(pid) for pids in roles().values() for pid in pids}
    began = time.monotonic()
    try:
        yield usage
    finally:
        seconds = time.monotonic() - began
        for role, pids in roles().items():
            used = sum(cpu_seconds(pid) - before.get(pid, 0.0) for pid in pids)
            usage.cores[role] = used / seconds
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        usage.gpu = GpuUse.over(samples)


async def _watch_gpus(samples: list[GpuUse]) -> None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return
    while True:
        process = await asyncio.create_subprocess_exec(program, *QUERY, stdout=PIPE, stderr=DEVNULL)
        output, _ = await process.communicate()
        with suppress(ValueError):
            rows = [tuple(map(float, line.split(b","))) for line in output.splitlines()]
            if rows:
                busy = statistics.fmean(share for share, _ in rows) / 100
                samples.append(GpuUse(busy, sum(memory for _, memory in rows)))
        await asyncio.sleep(LOOK_SECONDS)
