"""What one picture asks of each part of a pipeline, from a report of ``sidewire bench``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from shared.errors import SidewireError

__all__ = ["SHIPPED", "ReportError", "ServiceTimes"]

#: The one that ships; docs/results.md says how it was measured.
SHIPPED = Path(__file__).parent / "service_times.json"
#: Roles of ``cores`` in a report that are a decoder's, an encoding sender's and a gateway's.
DECODING = ("decoders",)
SENDING = ("encoders", "senders", "publishers")
GATEWAY = ("gateway",)


class ReportError(SidewireError):
    """A report of ``sidewire bench`` is missing, or is no such thing."""


@dataclass(frozen=True)
class ServiceTimes:
    """Seconds of a processor that a picture takes, each part by itself.

    Attributes:
        send: to encode, journal and send it, and its caption.
        gateway: to receive, join and store it; a gateway has one loop, so one core.
        bytes: of its container.
        codec, size: of what was measured; the size is empty for a feed's own pictures.
        at, machine: when and on what it was measured.
    """

    decode: float
    send: float
    gateway: float
    bytes: float
    codec: str
    size: str
    at: str
    machine: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Those of a report's folder, or of a file such as the one that ships.

        Of a report the point of the fewest decoders counts, as these hardly wait for each other.

        Raises:
            ReportError: there is none, it is no such thing, or a part was not measured.
        """
        file = path / "summary.json" if path.is_dir() else path
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            times = cls.of_summary(values) if "points" in values else cls(**values)
            least = min(times.decode, times.send, times.gateway, times.bytes)
        except OSError as error:
            raise ReportError(f"cannot read {file}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ReportError(f"{file} is no report of sidewire bench") from None
        if not least > 0:
            raise ReportError(f"{file} has not measured all parts: {times}")
        return times

    @classmethod
    def of_summary(cls, summary: dict[str, Any]) -> Self:
        """Those of a report's content.

        Raises:
            KeyError, TypeError: it is none.
        """
        point = min(summary["points"], key=lambda one: int(one["decoders"]))
        rate = point["achieved"]["value"]
        options, provenance = summary["options"], summary["provenance"]
        installation = provenance["installation"]

        def seconds(roles: tuple[str, ...]) -> float:
            return float(sum(point["cores"].get(role, 0.0) for role in roles) / rate)

        return cls(
            decode=seconds(DECODING),
            send=seconds(SENDING),
            gateway=seconds(GATEWAY),
            bytes=float(point["bytes_a_frame"]),
            codec=options["codec"],
            size="" if options["feed"] else options["size"],
            at=provenance["at"],
            machine=f"{installation['cores']} cores, {installation['device']}",
        )
