"""Rate and distortion of codecs over a feed: real bytes, means over pictures, BD-rates and plots."""

from cluster.evaluation.report import summary_table
from cluster.evaluation.rows import BdRateRow, EvaluationResult, Failure, ResultRow, SummaryRow
from cluster.evaluation.run import evaluate

__all__ = [
    "BdRateRow",
    "EvaluationResult",
    "Failure",
    "ResultRow",
    "SummaryRow",
    "evaluate",
    "summary_table",
]
