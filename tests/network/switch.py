"""Machines far from each other: namespaces with a TUN device each, and a switch that carries packets.

The kernel's own way to delay and lose packets (netem) is not in every kernel. Here each packet passes through
this process, so that the TCP of both machines sees the delay and the loss, and sends again what it must.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import selectors
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.network.namespaces import Host, ip, why_impossible

__all__ = ["Switch", "switched", "why_no_switch"]

TUN = Path("/dev/net/tun")
#: From linux/if_tun.h: the request, and a device of bare IP packets.
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
#: RFC 5737's second network for documentation.
NETWORK = "198.51.100."
LARGEST_PACKET = 1 << 16
#: Packets that wait at once; more are lost, as in any switch.
MOST_UNDER_WAY = 1 << 14


@dataclass
class Switch:
    """What carries packets between hosts, as a thread.

    Attributes:
        hosts: all of them.
        delay: seconds that each packet is under way.
        loss: share of packets that never arrive, in each direction.
        carried, lost, barred: packets between hosts so far: barred are those of hosts that are cut off.
    """

    hosts: list[Host]
    delay: float
    loss: float
    seed: int
    carried: int = 0
    lost: int = 0
    barred: int = 0
    _devices: dict[bytes, int] = field(default_factory=dict)
    _cut: set[bytes] = field(default_factory=set)
    _under_way: deque[tuple[float, int, bytes]] = field(default_factory=deque)

    def cut(self, host: Host) -> None:
        """Let nothing to or from a host pass any more: from outside it is as if its power had gone."""
        self._cut.add(_packed(host.address))

    def add(self, host: Host, device: int) -> None:
        """Connect a host by its open TUN device."""
        self._devices[_packed(host.address)] = device

    def carry(self, stopped: threading.Event) -> None:
        """Carry packets until it is stopped."""
        chance = random.Random(self.seed)
        with selectors.DefaultSelector() as selector:
            for device in self._devices.values():
                selector.register(device, selectors.EVENT_READ)
            while not stopped.is_set():
                wait = self._under_way[0][0] - time.monotonic() if self._under_way else 0.1
                for key, _ in selector.select(max(0.0, wait)):
                    self._take(key.fd, chance)
                self._deliver()

    def _take(self, device: int, chance: random.Random) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(device, LARGEST_PACKET)
                source, target = packet[12:16], packet[16:20]
                if packet[0] >> 4 != 4 or target not in self._devices:
                    continue  # IPv6, multicast: of no host here
                if source in self._cut or target in self._cut:
                    self.barred += 1
                    continue
                if chance.random() < self.loss or len(self._under_way) >= MOST_UNDER_WAY:
                    self.lost += 1
                    continue
                due = time.monotonic() + self.delay
                self._under_way.append((due, self._devices[target], packet))

    def _deliver(self) -> None:
        while self._under_way and self._under_way[0][0] <= time.monotonic():
            _, device, packet = self._under_way.popleft()
            os.write(device, packet)
            self.carried += 1


def _packed(address: str) -> bytes:
    return bytes(map(int, address.split(".")))


@contextlib.contextmanager
def switched(count: int, delay: float, loss: float, seed: int = 0) -> Iterator[Switch]:
    """So many hosts that reach each other through a switch and nobody else; gone afterwards.

    Raises:
        OSError, subprocess.CalledProcessError: this machine does not allow it.
    """
    hosts = [Host(f"sidewire-{os.getpid()}-s{n}", f"{NETWORK}{n + 1}") for n in range(count)]
    switch, stopped = Switch(hosts, delay, loss, seed), threading.Event()
    with contextlib.ExitStack() as made:
        for number, host in enumerate(hosts):
            ip("netns", "add", host.name)
            made.callback(ip, "netns", "delete", host.name)
            # It is made where this process is, which keeps hold of it wherever it is moved.
            name = f"sw{os.getpid()}-{number}"
            device = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
            made.callback(os.close, device)
            fcntl.ioctl(
                device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
            )
            ip("link", "set", name, "netns", host.name)
            ip("-netns", host.name, "address", "add", f"{host.address}/24", "dev", name)
            for link in (name, "lo"):
                ip("-netns", host.name, "link", "set", link, "up")
            switch.add(host, device)
        carrier = threading.Thread(target=switch.carry, args=(stopped,), name="switch")
        carrier.start()
        made.callback(carrier.join)
        made.callback(stopped.set)
        yield switch


def why_no_switch() -> str | None:
    """Why :func:`switched` cannot work on this machine, in one line; None where it does."""
    if not os.access(TUN, os.R_OK | os.W_OK):
        return f"no {TUN} for this user"
    return why_impossible()
