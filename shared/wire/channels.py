"""How both sides talk gRPC: addresses, message sizes, keepalive. Every limit is stated, none is a default."""

from __future__ import annotations

import ipaddress
import re

import grpc

from shared.wire.limits import MESSAGE_OVERHEAD, READ_AHEAD, Limits
from shared.wire.security import ClientSecurity

__all__ = [
    "DELIVERY_BYTES",
    "RESPONSE_BYTES",
    "check_address",
    "client_channel",
    "server_options",
    "stays_on_machine",
]

#: Largest answer to a sender: an ack with all gaps that its window allows takes three quarters of it.
RESPONSE_BYTES = 1 << 20
#: Largest delivery to a subscriber: a picture file.
DELIVERY_BYTES = 64 << 20

#: A peer that is silent for so long is asked, and given up if it does not answer in time.
KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS = 10_000, 5_000
#: gRPC's own longest pause between connection attempts is two minutes.
LONGEST_BACKOFF_MS = 2_000

UNIX = "unix:"
HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")

Options = list[tuple[str, int]]


def check_address(text: str, *, lowest_port: int = 1) -> str:
    """The address itself: ``host:port``, ``[v6]:port`` or ``unix:PATH``.

    Raises:
        ValueError: it is none of them.
    """
    if text.startswith(UNIX) and len(text) > len(UNIX):
        return text
    parts = HOST_PORT.fullmatch(text)
    if parts is None or not lowest_port <= int(parts[2]) <= 65535:
        raise ValueError(
            f"must be host:port, such as 127.0.0.1:7601, with a port of {lowest_port} to 65535"
        )
    return text


def stays_on_machine(address: str) -> bool:
    """Whether nothing sent to this address leaves the machine: a socket file, or loopback."""
    if address.startswith(UNIX):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shared_options() -> Options:
    return [
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _request_bytes(limits: Limits) -> int:
    return max(limits.frame_bytes, limits.caption_bytes) + MESSAGE_OVERHEAD


def server_options(limits: Limits) -> Options:
    """Options for ``grpc.aio.server``: what a receiver with these limits takes and answers."""
    return [
        *_shared_options(),
        ("grpc.max_receive_message_length", _request_bytes(limits)),
        ("grpc.max_send_message_length", DELIVERY_BYTES),
        # Twice as often as our clients ask; more than that is an attack.
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
        # gRPC's own estimate of the window only grows: whenever a busy receiver is late with an answer it
        # looks like a longer line, and what senders may have in its buffers has no bound.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", READ_AHEAD),
        # Otherwise a second receiver could share the port, and take half of the connections.
        ("grpc.so_reuseport", 0),
    ]


def client_channel(
    address: str, security: ClientSecurity, *, response_bytes: int = RESPONSE_BYTES
) -> grpc.aio.Channel:
    """A channel to a receiver; the connection is made by the first call.

    Args:
        response_bytes: largest answer; :data:`DELIVERY_BYTES` for a subscriber.
    """
    options = [
        *_shared_options(),
        # What a receiver takes is known when a session is open, and kept to by who sends.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", response_bytes),
        # A stream is resumed from positions; gRPC cannot know them.
        ("grpc.enable_retries", 0),
        # Else a new channel gets the old one's connection, which may be what was wrong.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_reconnect_backoff_ms", LONGEST_BACKOFF_MS),
        ("grpc.enable_http_proxy", int(not stays_on_machine(address))),
    ]
    if security.credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, security.credentials, options=options)
