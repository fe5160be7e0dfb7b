"""The network that the other tests go through: each fault does what it says, on plain sockets."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.network.namespaces import Host, cable, why_impossible
from tests.network.proxy import CLEAR, FaultProxy, Faults
from tests.network.switch import Switch, switched, why_no_switch
from tests.patience import PATIENCE
from tests.processes import until

#: Bytes into struct tcp_info of linux/tcp.h: tcpi_data_segs_in, u32.
DATA_SEGMENTS_IN = 152


@dataclass
class Pair:
    """Both ends of a connection through the proxy."""

    proxy: FaultProxy
    client: socket.socket
    server: socket.socket


@contextlib.contextmanager
def connected(seed: int = 0) -> Iterator[Pair]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        FaultProxy(*listener.getsockname(), seed=seed) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as client,
    ):
        listener.settimeout(PATIENCE)
        server, _ = listener.accept()
        with server:
            server.settimeout(PATIENCE)
            yield Pair(proxy, client, server)


@pytest.fixture
def pair() -> Iterator[Pair]:
    with connected() as one:
        yield one


def receive(end: socket.socket, count: int) -> bytes:
    """Exactly ``count`` bytes, or fewer if the other side ends."""
    data = b""
    while len(data) < count and (more := end.recv(count - len(data))):
        data += more
    return data


MESSAGE = bytes(range(256)) * 40


def test_without_faults_bytes_and_both_ends_pass(pair: Pair) -> None:
    pair.client.sendall(MESSAGE)
    pair.client.shutdown(socket.SHUT_WR)
    assert receive(pair.server, len(MESSAGE) + 1) == MESSAGE
    pair.server.sendall(MESSAGE)  # half closed: this direction is still open
    pair.server.close()
    assert receive(pair.client, len(MESSAGE) + 1) == MESSAGE


# The bounds below are lower bounds: a slow machine cannot break them.


def test_latency(pair: Pair) -> None:
    pair.proxy.to_server = Faults(latency=0.2)
    start = time.monotonic()
    for byte in MESSAGE[:10]:
        pair.client.sendall(bytes([byte]))
    assert receive(pair.server, 10) == MESSAGE[:10]
    assert time.monotonic() - start >= 0.2


def test_bandwidth(pair: Pair) -> None:
    pair.proxy.to_client = Faults(bandwidth=50_000)
    start = time.monotonic()
    pair.server.sendall(MESSAGE)
    assert receive(pair.client, len(MESSAGE)) == MESSAGE
    assert time.monotonic() - start >= 0.9 * len(MESSAGE) / 50_000


def test_slices(pair: Pair) -> None:
    pair.proxy.to_server = Faults(slice_bytes=1)
    pair.client.sendall(MESSAGE[:9])
    assert receive(pair.server, 9) == MESSAGE[:9]
    info = pair.server.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    segments = int.from_bytes(info[DATA_SEGMENTS_IN : DATA_SEGMENTS_IN + 4], sys.byteorder)
    assert segments > 1


def test_reset_reaches_both_ends_and_the_next_connection_works(pair: Pair) -> None:
    pair.client.sendall(b"x")
    assert receive(pair.server, 1) == b"x"
    pair.proxy.reset()
    for end in (pair.client, pair.server):
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        contextlib.ExitStack() as sockets,
    ):
        listener.settimeout(PATIENCE)
        pair.proxy.target = listener.getsockname()
        client = socket.create_connection(("127.0.0.1", pair.proxy.port), PATIENCE)
        sockets.enter_context(client).sendall(b"y")
        server = sockets.enter_context(listener.accept()[0])
        assert receive(server, 1) == b"y"


def test_a_reset_by_one_end_reaches_the_other(pair: Pair) -> None:
    pair.client.sendall(b"x")
    assert receive(pair.server, 1) == b"x"
    pair.server.sendall(b"y")
    pair.client.recv(1, socket.MSG_PEEK)  # it has come; closing with it unread sends RST
    pair.client.close()
    with pytest.raises(ConnectionResetError):
        pair.server.recv(1)


def test_an_absent_server_resets_the_client() -> None:
    with socket.socket() as absent:
        absent.bind(("127.0.0.1", 0))  # and does not listen: nobody else has the port, either
        with (
            FaultProxy(*absent.getsockname()) as proxy,
            pytest.raises(ConnectionResetError),  # of the connection itself, or of what is read
            socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as client,
        ):
            client.recv(1)


def test_stall(pair: Pair) -> None:
    with pair.proxy.stalled():
        pair.client.sendall(b"x")
        pair.server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            pair.server.recv(1)
    pair.server.settimeout(PATIENCE)
    assert receive(pair.server, 1) == b"x"


def flipped(seed: int, cut: int) -> bytes:
    """What arrives of MESSAGE, sent in two pieces."""
    with connected(seed) as one:
        one.proxy.to_server = Faults(flips=0.01)
        one.client.sendall(MESSAGE[:cut])
        one.client.sendall(MESSAGE[cut:])
        return receive(one.server, len(MESSAGE))


def test_flips_come_from_the_seed_alone() -> None:
    first = flipped(seed=1, cut=10)
    changed = [a ^ b for a, b in zip(first, MESSAGE, strict=True) if a != b]
    assert 50 <= len(changed) <= 150
    assert {bits.bit_count() for bits in changed} == {1}
    assert flipped(seed=1, cut=7000) == first
    assert flipped(seed=2, cut=10) != first


def test_faults_are_switched_while_bytes_flow(pair: Pair) -> None:
    for faults, same in ((CLEAR, True), (Faults(flips=1.0), False), (CLEAR, True)):
        pair.proxy.to_client = faults
        pair.server.sendall(MESSAGE)
        assert (receive(pair.client, len(MESSAGE)) == MESSAGE) is same
        pair.client.sendall(MESSAGE)  # the other direction is as it was
        assert receive(pair.server, len(MESSAGE)) == MESSAGE


LISTEN = """
import socket, sys
with socket.create_server((sys.argv[1], 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    listener.settimeout(120)
    peer, address = listener.accept()
    peer.sendall(address[0].encode())
"""
CONNECT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 120) as peer:
    print(peer.recv(100).decode())
"""


def test_a_connection_crosses_the_cable() -> None:
    if reason := why_impossible():
        pytest.skip(reason)
    with cable() as (left, right):
        python = (sys.executable, "-c")
        listen = left.command(*python, LISTEN, left.address)
        with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as listener:
            port = listener.stdout.readline().strip()
            connect = right.command(*python, CONNECT, left.address, port)
            run = subprocess.run(
                connect, capture_output=True, text=True, check=True, timeout=PATIENCE
            )
        assert run.stdout.strip() == right.address
    namespaces = subprocess.run(
        ["ip", "netns", "list"], capture_output=True, text=True, check=True
    ).stdout
    assert left.name not in namespaces
    assert right.name not in namespaces


LOSS, DELAY = 0.25, 0.05
#: So many fit into a socket's buffer, whose reader may be slow.
PACKETS = 200
SHOUT = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
    for _ in range(int(sys.argv[2])):
        end.sendto(sys.argv[3].encode(), (sys.argv[1], 7))
"""
HEAR = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
    end.bind((sys.argv[1], 7))
    print("ready", flush=True)
    heard = 0
    while end.recv(100) != b"end":
        heard += 1
    print(heard)
"""


@pytest.fixture
def switch() -> Iterator[Switch]:
    if reason := why_no_switch():
        pytest.skip(reason)
    with switched(2, DELAY, LOSS, seed=3) as between:
        yield between


def shout(source: Host, target: Host, count: int, word: str) -> None:
    words = (sys.executable, "-c", SHOUT, target.address, str(count), word)
    subprocess.run(source.command(*words), check=True, timeout=PATIENCE)


def test_a_connection_crosses_a_switch_late(switch: Switch) -> None:
    left, right = switch.hosts
    python = (sys.executable, "-c")
    listen = left.command(*python, LISTEN, left.address)
    with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as listener:
        port = listener.stdout.readline().strip()
        began = time.monotonic()
        connect = right.command(*python, CONNECT, left.address, port)
        run = subprocess.run(connect, capture_output=True, text=True, check=True, timeout=PATIENCE)
        assert time.monotonic() - began >= 3 * DELAY  # to and fro, and back with an answer
    assert run.stdout.strip() == right.address


def test_some_packets_never_cross_a_switch_and_none_to_a_host_that_is_cut_off(
    switch: Switch,
) -> None:
    left, right = switch.hosts
    hear = left.command(sys.executable, "-c", HEAR, left.address)
    with subprocess.Popen(hear, stdout=subprocess.PIPE, text=True) as hearing:
        assert hearing.stdout.readline() == "ready\n"
        shout(right, left, PACKETS, "packet")
        until(lambda: switch.carried + switch.lost == PACKETS, "all packets have met the switch")
        carried = switch.carried
        assert abs(carried - (1 - LOSS) * PACKETS) < 35
        shout(left, left, 1, "end")  # not through the switch
        assert hearing.stdout.readline() == f"{carried}\n"
    switch.cut(right)
    shout(right, left, PACKETS, "packet")
    until(lambda: switch.barred == PACKETS, "all packets have met the switch")
    assert switch.carried == carried
