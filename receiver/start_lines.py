"""What a receiver says while it starts, and when senders may come."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from receiver.decoders.interface import DecoderPool
from receiver.ledger import Ledger
from receiver.settings import ReceiveSettings
from shared.wire.security import ServerSecurity
from shared.wire.v1.types_pb2 import CodecId

if TYPE_CHECKING:
    from receiver.serve import Addresses

__all__ = ["say_ready", "say_starting"]

log = logging.getLogger("sidewire.receiver")


def say_starting(settings: ReceiveSettings, ledger: Ledger, pool: DecoderPool) -> None:
    """The ledger is open, the sink has recovered, and the decoders are about to start."""
    log.info("ledger %s knows %d streams", ledger.path, len(ledger.streams()))
    place = f" {settings.sink}" if settings.sink is not None else ""
    log.info("pictures go to sink %s%s", settings.sink_kind, place)
    log.info(
        "starting %d decoders (%s) with %s, which may take a while",
        pool.width,
        settings.decoder,
        settings.bundle or settings.generator,
    )


def say_ready(
    addresses: Addresses, security: ServerSecurity, pool: DecoderPool, codecs: Sequence[CodecId]
) -> None:
    """Senders may come."""
    log.info(
        "%d of %d decoders are ready for streams of %s",
        pool.alive,
        pool.width,
        ", ".join(sorted({one.name for one in codecs})) or "any codec",
    )
    log.info(
        "listening for pictures on %s and captions on %s, %s",
        addresses.images,
        addresses.captions,
        _protection(security),
    )
    if addresses.metrics:
        log.info("metrics are at http://%s/metrics", addresses.metrics)


def _protection(security: ServerSecurity) -> str:
    if security.pair is None:
        return "in plaintext"
    certificates = " with client certificates" if security.authorities is not None else ""
    senders = sum(not one.principal.operator for one in security.tokens)
    operators = len(security.tokens) - senders
    tokens = f", {senders} sender and {operators} operator tokens" if security.tokens else ""
    return f"over TLS{certificates}{tokens}"
