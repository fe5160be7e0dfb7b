"""What a painter is, and the one that is trained here: a flow in the latents of a stream's transforms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from shared.codecs.halves import Ear, LatentDecoder, LatentEncoder
from shared.errors import SidewireError
from shared.networks.flow import Flow, sample
from shared.networks.precision import ready
from shared.networks.tiling import tiles
from shared.networks.transforms import Y_STRIDE
from shared.pictures import Picture

if TYPE_CHECKING:
    from shared.telling.telling import ItemMap, Telling

__all__ = ["FlowPainter", "Painter", "PainterError", "Strokes"]

#: Windows of the flow, in latents: larger than those of other networks, as it sees further.
WINDOW = 128


class PainterError(SidewireError):
    """A painter cannot be used, or cannot paint a picture; the message says why."""


class Painter(ABC):
    """Paints a picture again. Not safe to share between threads."""

    @abstractmethod
    def paint(self, reference: Picture, telling: Telling, seed: int) -> Picture:
        """The picture (H, W, 3) uint8 of a poor copy (H, W, 3) uint8 and what is told of it.

        The same arguments give the same picture on machines of one kind.
        """


@dataclass(frozen=True)
class Strokes:
    """How long a flow paints.

    Attributes:
        canvas: the stream's level whose latents are painted in.
        item: n, steps for each item.
        whole: steps for the whole picture.
        opacity: 0..1, how much of an item's paint is kept.
    """

    canvas: int
    item: int
    whole: int
    opacity: float = 1.0


class FlowPainter(Painter):
    """MISC's decoding in latents (Li et al., eq. 7 and 8): each item in its place, then the whole.

    ::

        S[-1] = g_a(reference)    S[j] = a M[j] flow_n(S[-1], T_d[j]) + (1 - a M[j]) S[j-1]
        x_hat = g_s(flow_n'(S[J-1], T_all))

    Items begin from the reference, so that places of two of them are not painted twice, and at an opacity a:
    the whole is painted over them. (With a = 1 and each from the one before, squared error and feature
    distance are worse than without items.)

    Args:
        analysis, synthesis: halves of the stream whose latents are painted in.
        flow: trained; it runs where the halves do.
        ear: hears the texts.
    """

    def __init__(
        self,
        analysis: LatentEncoder,
        synthesis: LatentDecoder,
        flow: Flow,
        ear: Ear,
        strokes: Strokes,
    ) -> None:
        self._analysis, self._synthesis = analysis, synthesis
        self._ear, self._strokes = ear, strokes
        terms = synthesis.terms
        self._flow = ready(flow.eval(), terms.device, terms.dtype)

    @torch.inference_mode()
    def paint(self, reference: Picture, telling: Telling, seed: int) -> Picture:
        """See :meth:`Painter.paint`."""
        height, width = reference.shape[:2]
        y = self._analysis.analysis(reference, self._strokes.canvas).float()
        # The generator of the CPU draws the same everywhere.
        noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed)).to(y.device)
        true = -(-height // Y_STRIDE), -(-width // Y_STRIDE)
        first, strokes = y, self._strokes
        for item in telling.items:
            if item.map is None:
                continue
            painted = self._flowed(first, item.detail or item.name, noise, strokes.item)
            y = torch.lerp(y, painted, strokes.opacity * _placed(item.map, true, y))
        y = self._flowed(y, telling.description, noise, strokes.whole)
        shown, _ = self._synthesis.painted(y, [strokes.canvas], [None], 1)
        return shown[0, :height, :width]

    def _flowed(self, y: Tensor, text: str, noise: Tensor, steps: int) -> Tensor:
        """Where the flow leads from y, (1, M, h, w), told a text."""
        given = self._ear.hear([text or None])
        assert given is not None

        def end(r: Tensor, t: Tensor) -> Tensor:
            made = torch.empty_like(r)
            for tile in tiles(r.shape[2], r.shape[3], WINDOW, self._flow.halo):
                window = (..., *tile.window(1))
                part = self._flow(r[window], y[window], t, given)
                made[(..., *tile.target(1))] = part[(..., *tile.inner(1))]
            return made

        return y + self._flow.spread[:, None, None] * sample(end, noise, steps)


def _placed(places: ItemMap, true: tuple[int, int], y: Tensor) -> Tensor:
    """A map (h', w') over the latents (1, 1, h, w) of a picture of ``true`` latents, before padding."""
    mask = torch.from_numpy(places.copy()).to(y)[None, None]
    mask = F.interpolate(mask, true, mode="bilinear", antialias=True)
    down, right = y.shape[2] - true[0], y.shape[3] - true[1]
    return F.pad(mask, (0, right, 0, down), mode="replicate")
