"""How something ended, for all groups of checks."""

from __future__ import annotations

from shared.wire.v1 import types_pb2 as wire
from tests.conformance.rules import require
from tests.conformance.talk import Talk

__all__ = ["require_end", "require_still_open"]


def require_end(outcome: wire.Outcome, disposition: wire.Disposition, revision: int = 0) -> None:
    """How something ended must be this."""
    found, wanted = map(wire.Disposition.Name, (outcome.disposition, disposition))
    require(found == wanted, f"seq {outcome.seq} ended as {found}, not {wanted}")
    require(outcome.revision == revision, f"its revision is {outcome.revision}, not {revision}")


async def require_still_open(talk: Talk, seq: int) -> None:
    """The stream goes on: something after the refused message ends."""
    await talk.send(skip=talk.skip(seq))
    require_end(await talk.end_of(seq), wire.DISPOSITION_REJECTED)
