"""What others write pictures as: codecs of the day as whole files, and placeholders for pages that load."""

from shared.codecs.baselines.interface import Baseline
from shared.codecs.baselines.placeholder import Placeholder
from shared.codecs.baselines.registry import baseline, baseline_names

__all__ = ["Baseline", "Placeholder", "baseline", "baseline_names"]
