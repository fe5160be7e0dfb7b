"""Places of things by a CLIP model of open_clip, from local weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transformer import VisionTransformer
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from shared.errors import reason_of
from shared.pictures import Picture
from shared.telling.grounder import SurgeryGrounder
from shared.text.clip import located
from shared.text.interface import TextWeightsError
from shared.text.registry import get_text_encoder

__all__ = ["OpenClipGrounder"]

#: Levels of 255 that an empty picture has.
EMPTY = 114


class OpenClipGrounder(SurgeryGrounder):
    """By the last tokens of CLIP's vision transformer, projected as its pooled one is.

    CLIP Surgery's other half, attention of values to values, changes the network itself and is left out.

    Args:
        source: as :func:`shared.text.clip.load_clip` takes it.

    Raises:
        UnknownTextEncoderError: no such model. TextWeightsError: no or damaged weights, or no vision
            transformer of CLIP's own kind.
    """

    def __init__(self, source: str, device: str = "cpu") -> None:
        super().__init__(get_text_encoder(f"clip:{source}", device))
        name, weights = located(source)
        try:
            model: Any = open_clip.create_model(name, pretrained=weights, require_pretrained=True)
        except Exception as error:  # a library's boundary: it documents none of what it raises
            raise TextWeightsError(f"cannot load clip:{source}: {reason_of(error)}") from None
        tower = model.visual
        if not isinstance(tower, VisionTransformer) or tower.proj is None or tower.attn_pool:
            raise TextWeightsError(f"clip:{source}: its vision tower is no transformer of CLIP's")
        self._tower: Any = tower.eval().requires_grad_(False)
        self._mean, self._std = (
            torch.tensor(one)[:, None, None] for one in (tower.image_mean, tower.image_std)
        )
        self._size = tower.image_size
        empty = np.full((*self._size, 3), EMPTY, np.uint8)
        with torch.inference_mode():
            self._empty = self._places(empty)

    def views(self, picture: Picture, shape: tuple[int, int]) -> list[Tensor]:
        """See :meth:`SurgeryGrounder.views`: one, of the picture squashed to the network's size."""
        places = self._places(picture) - self._empty
        return [F.interpolate(places[None], list(shape), mode="bilinear", antialias=True)[0]]

    def _places(self, picture: Picture) -> Tensor:
        rows, columns = self._size
        small = Image.fromarray(picture).resize((columns, rows), Image.Resampling.BICUBIC)
        x = torch.from_numpy(np.array(small)).permute(2, 0, 1).float().div(255)
        (tokens,) = self._tower.forward_intermediates(
            ((x - self._mean) / self._std)[None],
            indices=1,
            normalize_intermediates=True,
            intermediates_only=True,
        )["image_intermediates"]
        return F.normalize(torch.einsum("chw,cd->dhw", tokens[0], self._tower.proj), dim=0)
