"""Kodak curves of a codec of ours and of its peer, as a report shows them. Pure values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["KodakPoint", "PeerQuality"]


@dataclass(frozen=True, slots=True)
class KodakPoint:
    """Means over the 24 Kodak pictures, at one rate."""

    bpp: float
    psnr: float
    ms_ssim: float


@dataclass(frozen=True)
class PeerQuality:
    """Three curves, and BD-rates of ours in percent: below zero it needs fewer bits at equal PSNR.

    Attributes:
        hours: processor hours behind all of our curve, at most.
        peer_hours: behind each point of the peer's that was trained here.
        against_trained, against_published: None where the curves share no quality.
    """

    codec: str
    hours: float
    ours: Sequence[KodakPoint]
    trained: Sequence[KodakPoint]
    peer_hours: Sequence[float]
    published: Sequence[KodakPoint]
    against_trained: float | None
    against_published: float | None
