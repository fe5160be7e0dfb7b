"""What a sink writes of a delivery beside its picture."""

from __future__ import annotations

from datetime import datetime

from receiver.work import Delivery
from shared.bitstream.container import Container
from shared.errors import SidewireError, UnknownCodecError
from shared.systems.catalogue import stream_name
from shared.wire.v1.types_pb2 import Disposition

__all__ = ["Fact", "facts"]

Fact = str | int | datetime | None


def facts(delivery: Delivery) -> dict[str, Fact]:
    """Columns by name, for JSON and for tables; they do not depend on when it was delivered."""
    return {
        "stream_id": delivery.key.stream_id,
        "epoch": delivery.key.epoch,
        "seq": delivery.key.seq,
        "revision": delivery.revision,
        "disposition": Disposition.Name(delivery.disposition).removeprefix("DISPOSITION_"),
        "name": delivery.name,
        "content_id": delivery.content_id.hex(),
        "caption": delivery.caption,
        "reason": delivery.reason,
        **_of_the_stream(delivery.container),
        "received_at": delivery.received_at,
        "decoded_at": delivery.decoded_at,
    }


def _of_the_stream(container: bytes) -> dict[str, Fact]:
    """What a container's header says; nothing where there is none, or none that can be read."""
    try:
        header = Container.from_bytes(container).header
    except SidewireError:
        return {"bytes": len(container)} | dict.fromkeys(("codec", "quality", "width", "height"))
    try:
        codec = stream_name(header.codec_id)
    except UnknownCodecError:  # a benchmark's decoder takes any
        codec = None
    return {
        "bytes": len(container),
        "codec": codec,
        "quality": header.quality,
        "width": header.width,
        "height": header.height,
    }
