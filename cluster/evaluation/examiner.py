"""One original against which decoded pictures are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.metrics import ms_ssim, psnr, ssimulacra2
from shared.metrics.matching import FeatureReference, judge_scores
from shared.pictures import Picture

__all__ = ["Examiner", "Measures", "Scores"]


@dataclass(frozen=True)
class Measures:
    """Which of the slower measures to take.

    Attributes:
        ssimulacra2: the slowest one.
        matching: feature distance, and the judge's score where there are captions.
    """

    ssimulacra2: bool
    matching: bool


@dataclass(frozen=True)
class Scores:
    """What one decoded picture scores; None where not measured.

    Attributes:
        judge: cosine to each caption.
    """

    psnr: float
    ms_ssim: float | None
    ssimulacra2: float | None
    feature_distance: float | None
    judge: tuple[float, ...]


class Examiner:
    """Measures decoded pictures of one original.

    Raises:
        BundleError: a matcher is missing or damaged.
    """

    def __init__(self, original: Picture, measures: Measures) -> None:
        self.original = original
        self.measures = measures
        self.features = FeatureReference(original) if measures.matching else None

    def scores(self, decoded: Picture, captions: Sequence[str]) -> Scores:
        """Everything that is asked for.

        Args:
            decoded: (H, W, 3) uint8, of the original's size.
            captions: what the judge holds it against.

        Raises:
            ValueError: the picture has another size.
        """
        taken = self.measures
        return Scores(
            psnr=psnr(self.original, decoded),
            ms_ssim=ms_ssim(self.original, decoded),
            ssimulacra2=ssimulacra2(self.original, decoded) if taken.ssimulacra2 else None,
            feature_distance=self.features.distance(decoded) if self.features else None,
            judge=judge_scores(decoded, captions) if taken.matching else (),
        )
