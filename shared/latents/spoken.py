"""A hyperprior whose stream says a few numbers of the caption: text in the entropy model, exactly.

``p(y | z, t)`` of Jiang et al. (eq. 5) asks for text where tables are chosen, and there both ends must have
the same integers. A sentence vector is float and differs between machines, and a caption may be lost: so the
sender rounds what matters of it to K integers, and they are in the stream, counted as all else::

    sentence (B,D) --linear, tanh--> round --> v (K,) ==coded once==> v, at every place of z beside it
    y --h_a--> round --> z ==coded==> z;    mu and scale index come of (z, v)

In all else v is K more channels of z that are the same at every place: scale branch and h_mu learn what to
make of them. No words are v = 0, and a decoder needs no caption.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.latents.interface import Sections
from shared.networks.layers import QualityGain, QualitySequential, conv3x3

__all__ = ["REACH", "SpokenHyperprior"]

#: A number of the vector is within this, on either side of zero.
REACH = 7.0


class SpokenHyperprior(Hyperprior):
    """See the module.

    Args:
        size: whose ``hyper_latent`` counts the vector's channels, too.
        said: K, fewer than these.
        text_width: D of the sentence vector.

    Attributes:
        voice: sentence to vector; the encoder's alone.
    """

    def __init__(self, size: HyperpriorSize, said: int, text_width: int) -> None:
        if not 0 < said < size.hyper_latent:
            raise ValueError(
                f"said is {said}, must be at least 1 and less than hyper_latent, {size.hyper_latent}"
            )
        super().__init__(size)
        self.said, self.seen = said, size.hyper_latent - said
        layers = [*self.h_a[:-2], conv3x3(size.hyper_hidden, self.seen, stride=2)]
        self.h_a = QualitySequential([*layers, QualityGain(size.levels, self.seen)])
        self.voice = nn.Linear(text_width, said, bias=False)
        self.sections = ("h_a", "voice", *self.stream_sections)

    def freeze(self, sections: Sections) -> None:
        """See :meth:`LatentCodec.freeze`."""
        super().freeze(sections)
        if "voice" in sections:
            self.voice.load_state_dict(sections["voice"], assign=True)

    def ready(self, device: torch.device, dtype: torch.dtype) -> None:
        """See :meth:`LatentCodec.ready`; the voice stays in float32."""
        super().ready(device, dtype)
        if not self.voice.weight.is_meta:
            self.voice.requires_grad_(False).to(device)

    def vector(self, text: Tensor) -> Tensor:
        """What is said of sentences (B, D), (B, K) before rounding."""
        return REACH * torch.tanh(self.voice(text).float())

    def side(self, y: Tensor, quality: Tensor, text: Tensor | None) -> Tensor:
        """See :meth:`Hyperprior.side`; the vector's channels come last."""
        z = super().side(y, quality, text)
        v = z.new_zeros(len(z), self.said) if text is None else self.vector(text).to(z.dtype)
        return torch.cat([z, v[:, :, None, None].expand(-1, -1, *z.shape[2:])], 1)

    def z_bits(self, z: Tensor, quality: Tensor) -> Tensor:
        """See :meth:`Hyperprior.z_bits`; the vector is said once."""
        assert self.prior is not None
        each = self.prior(z, quality)
        places = z.shape[2] * z.shape[3]
        return each[:, : self.seen].sum(1) + each[:, self.seen :].sum(1) / places

    def z_tables(self, quality: int, positions: int) -> NDArray[np.int32]:
        """See :meth:`Hyperprior.z_tables`."""
        whole = super().z_tables(quality, positions).reshape(-1, positions)
        return np.concatenate([whole[: self.seen].reshape(-1), whole[self.seen :, 0]])

    def z_coded(self, z: NDArray[np.int16]) -> NDArray[np.int16]:
        """See :meth:`Hyperprior.z_coded`."""
        return np.concatenate([z[: self.seen].reshape(-1), z[self.seen :, 0, 0]])

    def z_of(self, coded: NDArray[np.int16], rows: int, columns: int) -> NDArray[np.int16]:
        """See :meth:`Hyperprior.z_of`."""
        z = coded[: -self.said].reshape(self.seen, rows, columns)
        v = np.broadcast_to(coded[-self.said :, None, None], (self.said, rows, columns))
        return np.concatenate([z, v])

    def least_bits(self, quality: int, positions: int) -> float:
        """See :meth:`Hyperprior.least_bits`."""
        least = self.cheapest[quality]
        return positions * float(least[: self.seen].sum()) + float(least[self.seen :].sum())
