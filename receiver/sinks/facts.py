"""What a sink writes of a delivery beside its picture."""

from __future__ import annotations

from receiver.work import Delivery
from shared.wire.v1.types_pb2 import Disposition

__all__ = ["facts"]


def facts(delivery: Delivery) -> dict[str, str | int | None]:
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
    }
