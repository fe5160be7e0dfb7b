"""The parts of a system, as its paper draws them, in one module for training and for both halves.

::

    x --g_a--> y --latent codec--> y_hat, bits --g_s--> x_hat
         ^                                       ^
      sentence (a told encoder)               sentence, trusted as far as the guard says
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.codecs.ladder import Ladder
from shared.latents.interface import LatentCodec, Sections
from shared.networks.guard import Guard
from shared.networks.stages import AnalysisTransform, Conditioning, SynthesisTransform
from shared.networks.transforms import Z_STRIDE

__all__ = ["DECODER", "ENCODER", "Parts", "Pass"]

#: Halves of a system.
ENCODER, DECODER = "encoder", "decoder"


@dataclass(frozen=True)
class Pass:
    """One training pass.

    Attributes:
        x_hat: (B, 3, H, W) around 0..1, cut to the true size.
        y_hat: (B, M, h, w), of the padded picture.
        bits: (B,), of everything that is coded; None where y_hat came from a frozen stream.
    """

    x_hat: Tensor
    y_hat: Tensor
    bits: Tensor | None


class Parts(nn.Module):
    """Analysis, latent codec, synthesis, and perhaps a guard against captions that do not fit.

    Args:
        g_a, latent, g_s: see the module.
        levels: the number of its plain quality levels: the first ones of its stream's.
        scales: of these levels, see :class:`Ladder`; empty for ones.
        stream: system whose shipped bundle holds the sections that this one's bundle lacks; empty for a
            system that brings its own entropy model.
        text_width: D of the sentence vectors that conditioners read; 0 for none.
        token_width: D_t of the words that they read one by one; 0 for none.
    """

    def __init__(
        self,
        g_a: AnalysisTransform,
        latent: LatentCodec[Any],
        g_s: SynthesisTransform,
        *,
        levels: int,
        scales: Sequence[int] = (),
        stream: str = "",
        text_width: int = 0,
        token_width: int = 0,
        guard: Guard | None = None,
    ) -> None:
        super().__init__()
        self.g_a, self.latent, self.g_s, self.guard = g_a, latent, g_s, guard
        self.levels = levels
        self.ladder = Ladder.of(levels, scales)
        self.stream = stream
        self.text_width, self.token_width = text_width, token_width

    def replaced(self, modules: Mapping[str, nn.Module]) -> Parts:
        """The same figure with other modules at some places, by name; the rest is shared."""
        parts = {name: getattr(self, name) for name in ("g_a", "latent", "g_s", "guard")}
        names = ("levels", "stream", "text_width", "token_width")
        settings = {name: getattr(self, name) for name in names}
        return Parts(**parts | dict(modules), scales=self.ladder.scales, **settings)

    def sections(self, half: str) -> tuple[str, ...]:
        """The bundle's sections that one half needs."""
        if half == ENCODER:
            return ("g_a", *self.latent.sections)
        guard = ("guard",) if self.guard is not None else ()
        return (*self.latent.decoder_sections, "g_s", *guard)

    def load(self, sections: Sections) -> None:
        """Take over the numbers of some sections; parts without any stay as they are.

        Raises:
            RuntimeError, KeyError, ValueError: they do not fit.
        """
        for name in ("g_a", "g_s", "guard"):
            if name in sections:
                try:
                    getattr(self, name).load_state_dict(sections[name], assign=True)
                except RuntimeError as error:
                    raise RuntimeError(f"{name}: {error}") from None
        if set(self.latent.decoder_sections) <= set(sections):
            self.latent.freeze(sections)

    def forward(
        self,
        x: Tensor,
        quality: Tensor,
        at_encoder: Conditioning | None = None,
        at_decoder: Conditioning | None = None,
        scale: int = 1,
    ) -> Pass:
        """What a receiver would see of pictures (B, 3, H, W) in 0..1 at levels (B,), all of one scale.

        H and W are multiples of the scale.
        """
        height, width = x.shape[2:]
        y = self.analyse(self.copied(x, scale), quality, at_encoder)
        coded = self.latent(y, quality, None if at_encoder is None else at_encoder.text)
        x_hat = self.synthesise(coded.y_hat, quality, at_decoder, (height, width), scale)
        return Pass(x_hat, coded.y_hat, coded.bits)

    @staticmethod
    def copied(x: Tensor, scale: int) -> Tensor:
        """The copies of pictures (B, 3, H, W) that a level of this scale codes, still in 0..1."""
        if scale == 1:
            return x
        size = x.shape[2] // scale, x.shape[3] // scale
        return F.interpolate(x, size, mode="bicubic", antialias=True).clamp(0, 1)

    def analyse(self, x: Tensor, quality: Tensor, given: Conditioning | None) -> Tensor:
        """y (B, M, h, w) of pictures (B, 3, H, W) in 0..1, padded as the codec pads them."""
        height, width = x.shape[2:]
        pad = (0, -width % Z_STRIDE, 0, -height % Z_STRIDE)
        padded = F.pad(x - 0.5, pad, mode="replicate")
        y: Tensor = self.g_a(padded.contiguous(memory_format=torch.channels_last), quality, given)
        return y

    def synthesise(
        self,
        y_hat: Tensor,
        quality: Tensor,
        given: Conditioning | None,
        true_size: tuple[int, int],
        scale: int = 1,
    ) -> Tensor:
        """Pictures (B, 3, H, W) around 0..1, cut to the true size (H, W), of y_hat (B, M, h, w)."""
        x_hat: Tensor = self.g_s(y_hat, quality, given, scale)
        return x_hat[..., : true_size[0], : true_size[1]].float() + 0.5
