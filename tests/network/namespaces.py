"""Two machines that share nothing but a cable: network namespaces joined by a veth pair (Linux, root)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Host", "cable", "ip", "why_impossible"]

#: RFC 5737 addresses: documentation's own, so that they never mean a real machine.
ADDRESSES = ("192.0.2.1", "192.0.2.2")


@dataclass(frozen=True)
class Host:
    """One end of the cable: a namespace's name and its IPv4 address."""

    name: str
    address: str

    def command(self, *words: object) -> list[str]:
        """``words`` as a command that runs on this host, for :mod:`subprocess`."""
        return ["ip", "netns", "exec", self.name, *map(str, words)]


def ip(*words: str) -> None:
    """Run ``ip``.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextlib.contextmanager
def cable() -> Iterator[tuple[Host, Host]]:
    """Two hosts that reach each other and nobody else; gone afterwards, whatever happened.

    Raises:
        subprocess.CalledProcessError: this machine does not allow it.
    """
    left, right = hosts = tuple(
        Host(f"sidewire-{os.getpid()}-{number}", address)
        for number, address in enumerate(ADDRESSES)
    )
    with contextlib.ExitStack() as made:
        for host in hosts:
            ip("netns", "add", host.name)
            made.callback(ip, "netns", "delete", host.name)
        # Made inside the namespaces, so that the machine's own never sees it.
        pair = ("type", "veth", "peer", "name", "cable", "netns", right.name)
        ip("-netns", left.name, "link", "add", "cable", *pair)
        for host in hosts:
            ip("-netns", host.name, "address", "add", f"{host.address}/30", "dev", "cable")
            for link in ("cable", "lo"):
                ip("-netns", host.name, "link", "set", link, "up")
        yield left, right


def why_impossible() -> str | None:
    """Why :func:`cable` cannot work on this machine, in one line; None where it does."""
    if shutil.which("ip") is None:
        return "no ip command (iproute2)"
    try:
        with cable():
            return None
    except subprocess.CalledProcessError as error:
        return f"{' '.join(error.cmd)}: {error.stderr.strip()}"
