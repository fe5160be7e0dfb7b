"""What the frozen encoder makes of the training pictures: y_hat, once for every later generator.

The generator stage needs no encoder: latents come from the stream's own encoder with real rounding
and real integer scale indices, so that training sees what a receiver will.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shared.codecs.halves import LatentEncoder
from training.captioned import CaptionedPictures

__all__ = ["frozen_latents"]


@torch.inference_mode()
def frozen_latents(
    encoder: LatentEncoder, data: CaptionedPictures, quality: int, cache: Path
) -> NDArray[np.float16]:
    """y_hat of every picture at one level, (N, M, H/16, W/16) float16, mapped from a cache file.

    Pictures are padded as the codec pads them.
    """
    name = f"latents-{data.digest}-{encoder.terms.model_id.hex()}-level{quality}.npy"
    path = cache / name
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        rows: np.memmap[Any, np.dtype[np.float16]] | None = None
        for index, picture in enumerate(data.pictures):
            symbols = encoder.symbols(picture, quality)
            y_hat = encoder.latent.reconstruct(symbols, quality)[0].cpu().numpy()
            if rows is None:
                shape = (len(data), *y_hat.shape)
                rows = np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)  # type: ignore[no-untyped-call]
            rows[index] = y_hat
        assert rows is not None
        rows.flush()
        unfinished.rename(path)
    mapped: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return mapped
