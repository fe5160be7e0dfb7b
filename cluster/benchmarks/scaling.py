"""How frames a second grow with decoders: a Ray cluster of several nodes, with decoders that sleep.

    python -m cluster.benchmarks.scaling [--service-ms 100] [--nodes 4] [--decoders 1,2,4,8,16,32,64]

Ray's own test cluster, all nodes on this machine. Everything but the networks is real: senders with sealed
containers of 5 KB and their captions, sockets, gateways as actors, joining, the ledger, batches to actors on
all nodes, acks. What a frame asks of each part is fitted on the runs with few decoders, and what that
predicts is held against the others; so the machine must be quiet. The last runs have two gateways
with the same decoders.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from cluster.actors.gateway import GatewayActor
from cluster.actors.roster import PoolSpec
from cluster.actors.runtime import ENVIRONMENT, connected
from cluster.actors.supervisor import find_supervisor
from cluster.bench.queueing import Demands, Machine, Observed
from cluster.bench.usage import cpu_seconds
from cluster.benchmarks.sleeping import SleepingSettings
from cluster.trials.feed import write_feed
from cluster.trials.processes import Program
from receiver.settings import ReceiveSettings

__all__ = ["main"]

#: Different frames in the feed; it is repeated.
ROWS = 50
PAYLOAD_BYTES = 5000
#: A run lasts about so long, if decoders are the limit.
RUN_SECONDS = 15.0
WARMUP_SECONDS = 2.0
IDLE_SECONDS = 4.0
#: Of Ray's own work after decoders have started.
SETTLE_SECONDS = 3.0
#: Runs with so many decoders are what the model is fitted on.
FITTED_DECODERS = 8


@dataclass(frozen=True)
class Plan:
    """What is the same in all runs.

    Attributes:
        service: seconds that a frame takes a decoder.
        folder: for ledgers and journals.
    """

    service: float
    nodes: int
    cpus_a_node: int
    feed: Path
    folder: Path


@contextmanager
def nodes(plan: Plan) -> Iterator[str]:
    """A cluster; its address."""
    node = {"num_cpus": plan.cpus_a_node, "object_store_memory": 100 << 20}
    cluster: Any = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    try:
        for _ in range(plan.nodes - 1):
            cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


@contextmanager
def gateways(plan: Plan, decoders: int, count: int, namespace: str) -> Iterator[list[Any]]:
    """Gateways with the same decoders, spread over the nodes; the addresses of each."""
    spec = PoolSpec(SleepingSettings(plan.service), decoders)
    remote: Any = ray.remote(GatewayActor)
    remote = remote.options(num_cpus=0, scheduling_strategy="SPREAD")
    started = []
    try:
        for number in range(count):
            settings = ReceiveSettings(
                images="127.0.0.1:0",
                captions="127.0.0.1:0",
                state=plan.folder / namespace / str(number),
                caption_wait=600.0,
                sink_kind="none",
            )
            started.append(remote.remote(settings, spec, namespace))
        yield [ray.get(one.start.remote()) for one in started]
    finally:
        for one in started:
            ray.get(one.stop.remote())
            ray.kill(one)
        supervisor = find_supervisor(namespace)
        ray.get(supervisor.stop.remote())
        ray.kill(supervisor)


def sent(
    plan: Plan, where: Sequence[Any], seconds: float, decoders: int, name: str
) -> tuple[int, float, float]:
    """Frames, seconds of the processes, and frames a second; a sender for each gateway."""
    repeats = max(1, round(decoders * seconds / plan.service / len(where) / ROWS))
    began = time.monotonic()
    programs = [
        Program(
            *("send", "--json", "--feed", plan.feed, "--codec", "sealed", "--repeat", repeats),
            *("--images", one.images, "--captions", one.captions, "--stream", f"{name}-{number}"),
            *("--state", plan.folder / f"{name}-{number}"),
        )
        for number, one in enumerate(where)
    ]
    rate = 0.0
    for program in programs:
        ended = program.line()
        if ended["decoded_with_text"] != ROWS * repeats:
            raise RuntimeError(f"not all of {ROWS * repeats} frames were joined: {ended}")
        rate += ROWS * repeats / ended["seconds"]
        program.wait()
    return ROWS * repeats * len(where), time.monotonic() - began, rate


def busy() -> tuple[float, float]:
    """Processor seconds so far: of gateways, and of the whole machine."""
    own = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(b"ray::GatewayActor"):
                own += cpu_seconds(int(process.name))
    first = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    user, nice, system, _, _, interrupts, software = map(int, first[:7])
    return own, (user + nice + system + interrupts + software) / os.sysconf("SC_CLK_TCK")


def run(plan: Plan, decoders: int, count: int) -> Observed:
    """One number of decoders and of gateways."""
    namespace = f"scaling-{decoders}-{count}"
    with gateways(plan, decoders, count, namespace) as where:
        sent(plan, where, WARMUP_SECONDS, decoders, f"{namespace}-warm")
        time.sleep(SETTLE_SECONDS)
        marks = [busy()]
        time.sleep(IDLE_SECONDS)
        marks.append(busy())
        frames, seconds, rate = sent(plan, where, RUN_SECONDS, decoders, f"{namespace}-run")
        marks.append(busy())
    idle = [(new - old) / IDLE_SECONDS for old, new in zip(*marks[:2], strict=True)]
    used = [new - old for old, new in zip(*marks[1:], strict=True)]
    gateway, machine = (
        (all_ - seconds * one) / frames for all_, one in zip(used, idle, strict=True)
    )
    found = Observed(decoders, count, rate, gateway, machine, idle[1])
    print(found, file=sys.stderr, flush=True)
    return found


def report(plan: Plan, runs: Sequence[Observed]) -> dict[str, Any]:
    """Efficiencies, the fitted demands, and what they predict."""
    cores = len(os.sched_getaffinity(0))
    few = [one for one in runs if one.gateways == 1 and one.decoders <= FITTED_DECODERS]
    demands = Demands.fitted(few)
    single = min(few, key=lambda one: one.decoders)
    alone = single.frames_per_s / single.decoders
    return {
        "service_ms": 1000 * plan.service,
        "nodes": plan.nodes,
        "cores": cores,
        "runs": [
            asdict(one)
            | {
                "efficiency": one.frames_per_s / (one.decoders * alone),
                "predicted": demands.rate(
                    one.decoders, one.gateways, Machine(cores, one.idle_cores)
                ),
                "fitted": one in few,
            }
            for one in runs
        ],
        "demands": asdict(demands),
        "on_machines_of_their_own": [
            {
                "gateways": count,
                "most_frames_per_s": demands.limit(count),
                "decoders_within_0.9": demands.decoders_within(0.9, count),
            }
            for count in (1, 2)
        ],
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service-ms", type=float, default=100.0)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--decoders", default="1,2,4,8,16,32,64")
    parser.add_argument("--two-gateways", default="16,32")
    arguments = parser.parse_args()
    if "RAY_AUTH_TOKEN" not in os.environ:  # Ray has read it when it was imported
        secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        module = [sys.executable, "-m", "cluster.benchmarks.scaling"]
        os.execve(sys.executable, [*module, *sys.argv[1:]], os.environ | ENVIRONMENT | secret)
    counts = [int(word) for word in arguments.decoders.split(",")]
    twice = [int(word) for word in arguments.two_gateways.split(",") if word]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        feed = folder / "scaling.parquet"
        write_feed(feed, ROWS, PAYLOAD_BYTES)
        cpus = -(-max(counts) // arguments.nodes)
        plan = Plan(arguments.service_ms / 1000, arguments.nodes, cpus, feed, folder)
        with nodes(plan) as address, connected(address, "scaling"):
            runs = [run(plan, count, 1) for count in counts]
            runs += [run(plan, count, 2) for count in twice]
        print(json.dumps(report(plan, runs)))


if __name__ == "__main__":
    main()
