"""``sidewire reproduce``: make the tables or the figures of some evidence, and write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from cluster.console import progress_bars
from cluster.records import plain
from cluster.reproduce import (
    blocks,
    encoders,
    generated,
    misc,
    misc_parts,
    previews,
    ssa,
    text_prior,
    tgic,
)
from cluster.reproduce.evidence import Evidence, Request
from cluster.reproduce.tables import Section, markdown
from shared.errors import SidewireError
from shared.metrics.matching import check_matchers
from shared.pictures import write_atomically

__all__ = ["EVIDENCE", "reproduce_command"]

#: Every system's, by name.
EVIDENCE: dict[str, Evidence] = {
    **ssa.EVIDENCE,
    **encoders.EVIDENCE,
    **tgic.EVIDENCE,
    **misc.EVIDENCE,
    **misc_parts.EVIDENCE,
    **generated.EVIDENCE,
    **text_prior.EVIDENCE,
    **previews.EVIDENCE,
    **blocks.EVIDENCE,
}


def _write(request: Request, sections: Sequence[Section]) -> str:
    text = markdown(sections)
    table = [plain(asdict(section)) for section in sections]
    stem = request.out / request.evidence
    write_atomically(stem.with_suffix(".json"), (json.dumps(table, indent=2) + "\n").encode())
    write_atomically(stem.with_suffix(".md"), text.encode())
    return text


def reproduce_command(request: Request) -> None:
    """What ``sidewire reproduce`` does; prints the tables, or the figures' paths.

    Raises:
        SidewireError: weights, feeds or the output folder cannot be used, or nothing could be measured.
    """
    check_matchers()
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SidewireError(f"cannot write {request.out}: {error.strerror}") from None
    with progress_bars() as progress:
        made = EVIDENCE[request.evidence](request, progress)
    sections = [one for one in made if isinstance(one, Section)]
    shown = _write(request, sections) if sections else "\n".join(map(str, made))
    Console(soft_wrap=True).print(shown, markup=False, highlight=False)
