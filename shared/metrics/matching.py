"""Two measures that run on matchers trained here, under their own names.

- *judge score*: cosine of a picture to a caption in sentence space, by ``weights/judge``. It stands in for
  CLIP similarity, which needs weights from a hub. That network is in no loss of any codec.
- *feature distance*: LPIPS's form on the maps of ``weights/features``. Those maps are in the generators'
  loss, so a generator may flatter it; read it beside the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from shared.bundle import MatcherManifest, shipped_bundle
from shared.matcher_bundle import load_matcher
from shared.networks.matcher import Matcher, feature_distance
from shared.pictures import Picture
from shared.text.registry import get_text_encoder

__all__ = ["FEATURES", "JUDGE", "FeatureReference", "check_matchers", "judge_scores"]

#: Shipped bundles.
JUDGE, FEATURES = "judge", "features"


@cache
def _matcher(folder: Path) -> tuple[Matcher, MatcherManifest]:
    return load_matcher(folder)


def check_matchers() -> None:
    """Load both.

    Raises:
        BundleError: one is missing or damaged.
    """
    for name in (JUDGE, FEATURES):
        _matcher(shipped_bundle(name))


def _tensor(picture: Picture) -> Tensor:
    pixels = np.ascontiguousarray(picture, np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].div(255)


@torch.inference_mode()
def judge_scores(picture: Picture, captions: Sequence[str]) -> tuple[float, ...]:
    """Cosine of a picture (H, W, 3) uint8 to each caption, -1..1; empty for no captions.

    Raises:
        BundleError: the judge is missing or damaged. TextWeightsError: its text encoder is.
    """
    if not captions:
        return ()
    judge, manifest = _matcher(shipped_bundle(JUDGE))
    encoder = get_text_encoder(manifest.text_encoder)
    words = F.normalize(encoder.encode(captions).sentence.float(), dim=1)
    place = judge(_tensor(picture))[0]
    return tuple((words @ place).tolist())


class FeatureReference:
    """An original, looked at once, that decoded pictures are held against.

    Raises:
        BundleError: the matcher is missing or damaged.
    """

    def __init__(self, original: Picture) -> None:
        self.shape = original.shape
        self.maps = self._maps(original)

    @staticmethod
    def _maps(picture: Picture) -> tuple[Tensor, ...]:
        with torch.inference_mode():
            return _matcher(shipped_bundle(FEATURES))[0].feature_maps(_tensor(picture))

    def distance(self, decoded: Picture) -> float:
        """Feature distance of (H, W, 3) uint8 to the original: 0 for equal pictures, at most 2.

        Raises:
            ValueError: the picture has another size.
        """
        if decoded.shape != self.shape:
            raise ValueError(f"pictures of different size: {self.shape} and {decoded.shape}")
        with torch.inference_mode():
            return float(feature_distance(self.maps, self._maps(decoded)))
