"""Handshakes that fail at a receiver, as gRPC's own log tells them (:mod:`shared.core_log`)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from receiver.refusals import Kind, Refusal, Scope
from shared.core_log import core_lines

__all__ = ["refusal_of", "watched_handshakes"]

FAILED = re.compile(
    rb"Handshake failed with error [^:]*: (?:error:\w+:SSL routines:\w+:)?([^:\n]*)"
)

#: BoringSSL's reasons: what kind of refusal that is, and what it means.
NO_TLS = (Kind.TLS, "what came is not TLS: the client talks plaintext")
MEANINGS = {
    "WRONG_VERSION_NUMBER": NO_TLS,
    "HTTP_REQUEST": NO_TLS,
    "TLSV1_ALERT_UNKNOWN_CA": (
        Kind.TLS,
        "the client does not trust the authority of this receiver's certificate",
    ),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (Kind.CERTIFICATE, "the client brought no certificate"),
    "CERTIFICATE_VERIFY_FAILED": (
        Kind.CERTIFICATE,
        "the client's certificate is not of the authorities in client_ca",
    ),
}


def refusal_of(line: bytes) -> Refusal | None:
    """What a line of gRPC's log says of a handshake; None if it is about something else."""
    found = FAILED.search(line)
    if found is None:
        return None
    reason = found[1].decode(errors="replace").strip()
    kind, meaning = MEANINGS.get(reason, (Kind.TLS, f"the handshake failed: {reason}"))
    return Refusal(kind, Scope.CONNECTION, meaning)


@contextmanager
def watched_handshakes(told: Callable[[Refusal], None]) -> Iterator[None]:
    """Have ``told`` called in the running loop for each handshake that fails in this process."""
    loop = asyncio.get_running_loop()

    def look(line: bytes) -> None:
        refusal = refusal_of(line)
        if refusal is not None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(told, refusal)

    with core_lines(look):
        yield
