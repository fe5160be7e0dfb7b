"""The guard against wrong captions: does this picture look like what is said of it?

A matcher of its own looks at a luma thumbnail of what came through the stream, and places it where the
text encoder places sentences; how near the caption lies decides how far the generator follows it::

    y_hat --linear expansion--> luma thumbnail --matcher--> e (B,D)
                                                             | cosine
                                    text encoder ---------> v (B,D) --> sigmoid --> trust (B,)

At a thumbnail's scale a large picture looks like the small ones that the matcher has learnt from. It is
trained apart from the generator (contrastively, on frozen latents and their captions), and never touches
symbols.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.networks.matcher import Matcher, MatcherSize

__all__ = ["Guard"]


class Guard(nn.Module):
    """Trust of a caption: ``sigmoid(slope * (cos(e(thumbnail), text) - threshold))``.

    Slope and threshold are a level's own: a thumbnail of a preview says less than one of a sharp picture.
    """

    def __init__(self, size: MatcherSize, levels: int) -> None:
        super().__init__()
        self.matcher = Matcher(size)
        self.slope = nn.Parameter(torch.full((levels,), 20.0))
        self.threshold = nn.Parameter(torch.full((levels,), 0.1))

    @property
    def side(self) -> int:
        """Of the thumbnails that are wanted, at least (pixels)."""
        return self.matcher.size.side

    def score(self, thumbnail: Tensor, text: Tensor) -> Tensor:
        """Cosines (B,) of luma pictures (B, 1, h, w) in 0..1 and sentence vectors (B, D)."""
        cosines: Tensor = (self.matcher(thumbnail) * F.normalize(text, dim=1)).sum(1)
        return cosines

    def forward(self, thumbnail: Tensor, text: Tensor, quality: Tensor) -> Tensor:
        """Trust (B,) in 0..1 at levels (B,); other shapes as in :meth:`score`."""
        distance = self.score(thumbnail, text) - self.threshold[quality]
        return torch.sigmoid(self.slope[quality] * distance)
