"""g_a with an ear: base's analysis with one SSA block, for senders that do hold the caption.

It stands in no codec that a blind sender runs. It exists to measure what Wyner-Ziv coding is measured
against: the same words at both ends.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.layers import QualityGain
from shared.networks.ssa import Conditioning, SemanticSpatialBlock
from shared.networks.transforms import Y_STRIDE, Analysis

__all__ = ["ToldAnalysis"]


class ToldAnalysis(nn.Module):
    """g_a whose features at 1/16 pass an SSA block before they become y.

    Args:
        analysis: what it starts from, and at the start computes; its layers are taken over.
        text_width, text_hidden, mask_hidden: of the block.
    """

    def __init__(
        self, analysis: Analysis, text_width: int, text_hidden: int, mask_hidden: int
    ) -> None:
        super().__init__()
        self.analysis = analysis
        last = analysis.body[-1]
        assert isinstance(last, nn.Conv2d)
        self.ssa = SemanticSpatialBlock(last.in_channels, text_width, text_hidden, mask_hidden)

    def forward(self, x: Tensor, quality: Tensor, words: Conditioning) -> Tensor:
        """As :class:`Analysis`, with what is said of the pictures."""
        linear = self.analysis.project(F.pixel_unshuffle(x, Y_STRIDE))
        *layers, last = self.analysis.body
        for layer in layers:
            x = layer(x, quality) if isinstance(layer, QualityGain) else layer(x)
        y: Tensor = self.analysis.gain(linear + last(self.ssa(x, words)), quality)
        return y
