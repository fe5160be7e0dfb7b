"""What to compare, and the command line that asks for it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """A comparison that is asked for.

    Attributes:
        codecs: names, or patterns such as ``baseline/*``; None for those that the question is about, see
            :func:`cluster.compare.choice.usual_codecs`.
        levels: of the systems, a system without some of them being measured at the others; None for
            those within :data:`cluster.compare.choice.WINDOW`.
        limit: of pictures, from the feed's start.
        show: pictures that are shown side by side, from the feed's start.
        ssimulacra2_every: score every n-th picture by SSIMULACRA2, the slowest measure.
        jobs: processes. Times are measured with one only.
    """

    feed: Path
    out: Path
    codecs: tuple[str, ...] | None = None
    levels: tuple[int, ...] | Literal["all"] | None = None
    limit: int | None = None
    show: int = 3
    ssimulacra2_every: int = 1
    jobs: int = 1

    @property
    def command(self) -> str:
        """The command line that makes this comparison again."""
        words = ["sidewire", "compare", "--feed", str(self.feed), "--out", str(self.out)]
        if self.codecs is not None:
            words += ["--codecs", ",".join(self.codecs)]
        if self.levels is not None:
            named = self.levels if self.levels == "all" else ",".join(map(str, self.levels))
            words += ["--levels", named]
        if self.limit is not None:
            words += ["--limit", str(self.limit)]
        words += ["--show", str(self.show)]
        if self.ssimulacra2_every != 1:
            words += ["--ssimulacra2-every", str(self.ssimulacra2_every)]
        if self.jobs != 1:
            words += ["--jobs", str(self.jobs)]
        return shlex.join(words)
