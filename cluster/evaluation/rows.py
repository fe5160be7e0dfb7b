"""What an evaluation yields: rows of measurements, of means and of BD-rates, and what failed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BdRateRow", "EvaluationResult", "Failure", "Levels", "ResultRow", "SummaryRow"]

#: Quality levels to measure, by codec name.
Levels = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class ResultRow:
    """One picture through one codec at one quality.

    Attributes:
        bytes: the blob's counted ones; ``bpp`` is eight times that by the true picture's pixels.
        text: what the codec was told, see :mod:`cluster.evaluation.texts`.
        caption_bytes, caption_bpp: of the caption that the decoder was given, in UTF-8; 0 where an
            encoder alone reads it.
        trust: how far the decoder followed the caption; None where it read none.
        feature_distance, judge: see :mod:`shared.metrics.matching`; None where not asked for. The judge's
            is the mean over captions that the codec was not told, and None without such a one.
        judge_scores: the judge's for each of the picture's captions, the told one too.
        ms_ssim, ssimulacra2: None where the picture is too small, or not measured.
        encode_ms, decode_ms: None where other processes ran beside.
    """

    id: str
    codec: str
    quality: int
    text: str
    width: int
    height: int
    bytes: int
    bpp: float
    caption_bytes: int
    caption_bpp: float
    psnr: float
    ms_ssim: float | None
    ssimulacra2: float | None
    feature_distance: float | None
    judge: float | None
    judge_scores: tuple[float, ...]
    trust: float | None
    encode_ms: float | None
    decode_ms: float | None


@dataclass(frozen=True)
class Failure:
    """What could not be measured: a whole picture (no codec), or one codec and quality of it."""

    id: str
    codec: str | None
    quality: int | None
    reason: str

    def __str__(self) -> str:
        where = "" if self.codec is None else f", {self.codec} at {self.quality}"
        return f"picture {self.id}{where}: {self.reason}"


@dataclass(frozen=True)
class SummaryRow:
    """Means of a codec's rows at a quality and text, each over the pictures that have the figure."""

    codec: str
    quality: int
    text: str
    pictures: int
    bpp: float
    caption_bpp: float
    psnr: float
    ms_ssim: float | None
    ssimulacra2: float | None
    feature_distance: float | None
    judge: float | None
    trust: float | None
    encode_ms: float | None
    decode_ms: float | None


@dataclass(frozen=True)
class BdRateRow:
    """BD-rate of a codec, told ``text``, against an anchor; None where there is none."""

    codec: str
    text: str
    anchor: str
    metric: str
    percent: float | None
    low_value: float | None
    high_value: float | None
    window_bpp: tuple[float, float]


@dataclass(frozen=True)
class EvaluationResult:
    """All that :func:`evaluate` found; the first three are also in its folder."""

    rows: tuple[ResultRow, ...]
    summary: tuple[SummaryRow, ...]
    bd_rates: tuple[BdRateRow, ...]
    failures: tuple[Failure, ...]
