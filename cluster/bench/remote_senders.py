"""Load senders and caption publishers as Ray actors, spread over the nodes of a cluster.

A node has neither the run's feed nor the gateway's clock. So the feed's bytes are sent there once, and
all moments are translated: a plan's to the node's clock, a report's back to the gateway's.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.actors.roster import Handle
from cluster.actors.runtime import ClusterError, cpus
from cluster.bench.clocks import ClockOffset, RoundTrip
from cluster.bench.sender_process import Timed, build_publisher_at, build_sender_at
from cluster.bench.usage import seen_processes
from cluster.bench.workplace import ROUND_SECONDS, PublisherWorker, SenderWorker, Spread
from sender.settings import SendSettings
from shared.errors import SidewireError
from shared.workers import WorkerDiedError, WorkerProcess

__all__ = ["ClusterWorkplace", "RemoteWorker"]

#: Seconds that an actor may take to build what answers: many may start on a node at once.
START_SECONDS = 300.0
#: Seconds that an actor may take to say its time, and to remove its files.
CONTROL_SECONDS = 10.0
#: Looks at a node's clock before each round; the quickest one counts.
ROUND_TRIPS = 16

ReadyT = TypeVar("ReadyT")
RequestT = TypeVar("RequestT", bound=Timed)
AnswerT = TypeVar("AnswerT")

#: As :data:`shared.workers.Builder`, told where its feed lies.
BuilderAt = Callable[[Path], tuple[ReadyT, Callable[[RequestT], AnswerT]]]


# On the node


@dataclass(frozen=True, slots=True)
class Started(Generic[ReadyT]):
    """What a node says of a part of the load.

    Attributes:
        ready: what building has given.
        pid: of the process that answers.
        sees: see :func:`seen_processes`.
    """

    ready: ReadyT
    pid: int | None
    sees: str


class LoadPart(Generic[ReadyT, RequestT, AnswerT]):
    """An async actor that keeps a process which sends or publishes: the very process that does so
    without Ray. Feed and journals lie in a temporary folder of its own, which stays where Ray or anybody
    kills the actor before :meth:`close`.

    What it refuses it returns: errors that are raised would come as Ray's. It asks Ray for no CPU: what
    encodes are ordinary processes below it, and Ray's CPUs are the decoders'.

    Args:
        name: see :class:`WorkerProcess`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._folder = tempfile.TemporaryDirectory(prefix="sidewire-load-")
        self._process: WorkerProcess[ReadyT, RequestT, AnswerT] | None = None

    async def start(
        self, build: BuilderAt[ReadyT, RequestT, AnswerT], feed: bytes
    ) -> Started[ReadyT] | SidewireError:
        """Write the feed, and build what answers in a process."""
        place = Path(self._folder.name) / "feed.parquet"
        self._process = WorkerProcess(self._name, partial(build, place), ROUND_SECONDS)
        try:
            place.write_bytes(feed)
            ready = await self._process.start()
        except OSError as error:
            return SidewireError(f"cannot write the feed to {place}: {error.strerror}")
        except SidewireError as error:
            return error
        return Started(ready, self._process.pid, seen_processes())

    async def ask(self, request: RequestT) -> AnswerT | SidewireError:
        """The process's answer, after as long as it takes."""
        assert self._process is not None
        try:
            return await self._process.ask(request)
        except SidewireError as error:
            return error

    async def clock(self) -> float:
        """This node's monotonic clock; answered at any time."""
        return time.monotonic()

    async def close(self) -> None:
        """End the process, and remove all files."""
        if self._process is not None:
            await self._process.stop()
        self._folder.cleanup()


# At the gateway


class RemoteWorker(Generic[ReadyT, RequestT, AnswerT]):
    """An actor on a node, with the interface of :class:`shared.workers.WorkerProcess`.

    Moments of requests and answers are by this machine's clock: they are translated on their way, by the
    offset that :meth:`compare_clocks` has found last.

    Args:
        name: for messages, such as "load sender 3 on 10.0.0.7".
        node: id of the one that it runs on.
        build: runs in the actor.
        feed: reference to the bytes of the feed.
    """

    def __init__(
        self,
        name: str,
        node: str,
        build: BuilderAt[ReadyT, RequestT, AnswerT],
        feed: ray.ObjectRef[bytes],
    ) -> None:
        self.node = node
        #: Seconds, of the worst measurement so far.
        self.clock_uncertainty = 0.0
        self._name = name
        self._build = build
        self._feed = feed
        self._offset = ClockOffset(0.0, 0.0)
        self._actor: Handle | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process that answers where it is one of this machine's that runs; else None."""
        return self._pid

    async def start(self) -> ReadyT:
        """Start the actor and build what answers; what that says of itself.

        Raises:
            SidewireError: whatever building raised, if it is one.
            WorkerDiedError: it cannot be started, ended meanwhile or took too long.
        """
        place = NodeAffinitySchedulingStrategy(self.node, soft=False)
        remote_class: Any = ray.remote(LoadPart)
        actor = remote_class.options(num_cpus=0, scheduling_strategy=place).remote(self._name)
        self._actor = actor
        answer: Started[ReadyT] | SidewireError = await self._awaited(
            actor.start.remote(self._build, self._feed), START_SECONDS
        )
        if isinstance(answer, SidewireError):
            await self.stop()
            raise answer
        self._pid = answer.pid if answer.sees == seen_processes() else None
        return answer.ready

    async def ask(self, request: RequestT) -> AnswerT:
        """Answer one request. Where this is cancelled, the actor is ended.

        Raises:
            SidewireError: the answer is one.
            WorkerDiedError: it ended meanwhile, or took too long and was ended.
        """
        assert self._actor is not None
        offset = self._offset.seconds
        answer: AnswerT | SidewireError = await self._awaited(
            self._actor.ask.remote(request.moved(offset)), ROUND_SECONDS
        )
        if isinstance(answer, SidewireError):
            raise answer
        return answer.moved(-offset) if isinstance(answer, Timed) else answer

    async def compare_clocks(self) -> None:
        """Find the offset for the next requests: clocks drift apart.

        Raises:
            WorkerDiedError: it ended, or took too long and was ended.
        """
        assert self._actor is not None
        trips: list[RoundTrip] = []
        for _ in range(ROUND_TRIPS):
            before = time.monotonic()
            there = await self._awaited(self._actor.clock.remote(), CONTROL_SECONDS)
            trips.append(RoundTrip(before, there, time.monotonic()))
        self._offset = ClockOffset.of(trips)
        self.clock_uncertainty = max(self.clock_uncertainty, self._offset.uncertainty)

    async def stop(self) -> None:
        """End the actor at once, its encoders with it; its files are removed before."""
        actor, self._actor, self._pid = self._actor, None, None
        if actor is None:
            return
        try:
            with suppress(RayError, TimeoutError):
                async with asyncio.timeout(CONTROL_SECONDS):
                    await actor.close.remote()
        finally:
            ray.kill(actor)

    async def _awaited(self, answer: Any, timeout: float) -> Any:
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            await self.stop()
            raise WorkerDiedError(f"the {self._name} gave no answer in {timeout:g} s") from None
        except RayError as error:
            await self.stop()
            # The traceback comes before, and advice after.
            why = str(error).strip().splitlines()[-1].partition(". ")[0]
            raise WorkerDiedError(f"the {self._name} ended: {why}") from None
        except asyncio.CancelledError:
            await self.stop()
            raise


class ClusterWorkplace:
    """Nodes in turn, a sender and its publisher on the same one; needs :func:`connected`.

    The nodes are named: Ray's own way to spread puts actors that ask for no CPU anywhere.

    Args:
        feed: a file here.

    Raises:
        ClusterError: no node has a CPU.
    """

    def __init__(self, feed: Path) -> None:
        self.cores = cpus()
        nodes: Callable[[], Sequence[Mapping[str, Any]]] = ray.nodes
        self._nodes: Sequence[tuple[str, str]] = sorted(
            (node["NodeID"], node["NodeManagerAddress"])
            for node in nodes()
            # Nodes without CPUs, such as many a cluster's head, are not for work.
            if node["Alive"] and node["Resources"].get("CPU")
        )
        if not self._nodes:
            raise ClusterError("no node of the cluster has a CPU to send on")
        self._feed = ray.put(feed.read_bytes())
        self._senders: list[RemoteWorker[Any, Any, Any]] = []
        self._publishers: list[RemoteWorker[Any, Any, Any]] = []

    @property
    def host(self) -> str:
        """This node's address in the cluster."""
        ask: Callable[[], str] = ray.util.get_node_ip_address
        address = ask()
        return f"[{address}]" if ":" in address else address

    @property
    def spread(self) -> Spread:
        """See :class:`Workplace`."""
        return Spread(
            len({sender.node for sender in self._senders}),
            max((sender.clock_uncertainty for sender in self._senders), default=0.0),
        )

    def sender(self, number: int, settings: SendSettings) -> SenderWorker:
        """See :class:`Workplace`."""
        node, address = self._node(number)
        name = f"load sender {number} on {address}"
        sender = RemoteWorker(name, node, partial(build_sender_at, settings), self._feed)
        self._senders.append(sender)
        return sender

    def publisher(self, number: int) -> PublisherWorker:
        """See :class:`Workplace`."""
        node, address = self._node(number)
        name = f"caption publisher {number} on {address}"
        publisher = RemoteWorker(name, node, build_publisher_at, self._feed)
        self._publishers.append(publisher)
        return publisher

    async def settle(self) -> None:
        """See :class:`Workplace`. One after the other: together they would delay each other's answers."""
        for worker in (*self._senders, *self._publishers):
            await worker.compare_clocks()

    def _node(self, number: int) -> tuple[str, str]:
        """The id and the address of a sender's node."""
        return self._nodes[number % len(self._nodes)]
