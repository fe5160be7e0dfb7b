"""Networks cut at named stages, and what may be attached at a stage's end.

A transform is a row of stages; a system hangs side information on some of them::

    x --[fine]--.--[coarse]--.--[latent]--> y
                |            |
             at["fine"]   at["coarse"]      <-- Conditioning: sentence vector, trust

SSA in a generator, a fusion in the latent, adapters in an encoder: each is a :class:`Conditioner` at a
stage. Layers keep the flat names ``body.0``, ``body.1``, ...; conditioners are ``at.<stage>``, so that
weights of the same network without them load as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from shared.networks.layers import Extra, QualityGain

__all__ = [
    "AnalysisTransform",
    "Attach",
    "Conditioner",
    "Conditioning",
    "Passed",
    "Stage",
    "Stages",
    "SynthesisTransform",
]


@dataclass(frozen=True)
class Conditioning:
    """Side information as networks read it.

    Attributes:
        text: (B, D) sentence vectors; a row of zeros is "no text".
        trust: (B,) in 0..1; 0 gives what no text would give, whatever else is said. None for 1.
        tokens: (B, T, D_t) features of the words, each by itself; None for networks that read sentences.
        mask: (B, T) bool, True for words; all False is "no text". There where tokens are.
    """

    text: Tensor
    trust: Tensor | None = None
    tokens: Tensor | None = None
    mask: Tensor | None = None

    @property
    def silence(self) -> Conditioning:
        """The same without any words."""
        mask = None if self.mask is None else torch.zeros_like(self.mask)
        return Conditioning(torch.zeros_like(self.text), None, self.tokens, mask)


class Conditioner(nn.Module):
    """What lets side information change the features at the end of a stage.

    Attributes:
        reach: places on each side of one that its output depends on, at the stage's resolution.
    """

    reach: int

    @abstractmethod
    def masked(self, y: Tensor, given: Conditioning) -> tuple[Tensor, Tensor | None]:
        """Features (B, C, h, w) of the same shape, and where they may change, (B, 1, h, w) in 0..1."""


#: Channels of a stage's features -> what is attached to it.
Attach = Callable[[int], Conditioner]


@dataclass(frozen=True)
class Stage:
    """A stretch of a network.

    Attributes:
        channels: C of the features at its end.
    """

    name: str
    channels: int
    layers: Sequence[nn.Module]


class Passed(NamedTuple):
    """What a row of stages makes of its input.

    Attributes:
        x: features at the end of the last stage.
        before: those that the last stage was given.
        masks: of what is attached, (B, 1, h, w) each.
    """

    x: Tensor
    before: Tensor
    masks: tuple[Tensor, ...]


class Stages(nn.Module):
    """A row of stages with conditioners at the ends of some; layers that know levels are told theirs.

    Raises:
        ValueError: something is attached to a stage that there is not.
    """

    def __init__(self, stages: Sequence[Stage], at: Mapping[str, Attach]) -> None:
        super().__init__()
        names = [stage.name for stage in stages]
        if not set(at) <= set(names):
            raise ValueError(f"attached at {', '.join(at)}; the stages are {', '.join(names)}")
        self.body = nn.ModuleList(layer for stage in stages for layer in stage.layers)
        self.lengths = {stage.name: len(stage.layers) for stage in stages}
        self.at = nn.ModuleDict(
            {stage.name: at[stage.name](stage.channels) for stage in stages if stage.name in at}
        )

    def stage(self, name: str) -> list[nn.Module]:
        """The layers of one stage."""
        names = list(self.lengths)
        start = sum(self.lengths[before] for before in names[: names.index(name)])
        return list(self.body[start : start + self.lengths[name]])

    def reach(self, name: str) -> int:
        """The reach of what is attached to a stage; 0 where nothing is."""
        return self._attached(name).reach if name in self.at else 0

    def _attached(self, name: str) -> Conditioner:
        found = self.at[name]
        assert isinstance(found, Conditioner)
        return found

    def run(
        self,
        x: Tensor,
        quality: Tensor,
        given: Conditioning | None,
        linear: Tensor | None = None,
    ) -> Passed:
        """The last stage's features, those before it, and the masks on the way.

        Args:
            x: (B, C, H, W).
            quality: (B,) int64 levels.
            given: side information; None leaves conditioners out.
            linear: (B, C', H', W') of a path beside the stages, added at the end of the last one; None
                for a network without one.
        """
        masks: list[Tensor] = []
        layers = iter(self.body)
        *_, last = self.lengths
        before = x
        for name, length in self.lengths.items():
            before = x
            for _ in range(length):
                layer = next(layers)
                x = layer(x, quality) if isinstance(layer, QualityGain) else layer(x)
            if name == last and linear is not None:
                x = linear + x
            if given is not None and name in self.at:
                x, mask = self._attached(name).masked(x, given)
                masks += [] if mask is None else [mask]
        return Passed(x, before, tuple(masks))

    @torch.no_grad()
    def take_over(self, other: Stages, rows: Sequence[int]) -> None:
        """Begin as ``other``, a trained network of the same stages, which may be less deep.

        A stage's extra layers stand before its last one and begin as the identity; conditioners keep
        their start.

        Args:
            rows: for each level of this network, the level of ``other`` whose gains it takes.
        """
        for name in self.lengths:
            own, theirs = self.stage(name), other.stage(name)
            head = len(theirs) - 1
            for mine, layer in zip([*own[:head], own[-1]], theirs, strict=True):
                state = layer.state_dict()
                if isinstance(layer, QualityGain):
                    state = {key: value[list(rows)] for key, value in state.items()}
                mine.load_state_dict(state)
            for extra in own[head:-1]:
                assert isinstance(extra, Extra)
                extra.become_identity()


class AnalysisTransform(Stages):
    """g_a: pictures (B, 3, H, W) around zero -> y (B, M, H/16, W/16).

    Attributes:
        latent: M, channels of y.
        halo: latents on each side of one that it depends on.
    """

    latent: int
    halo: int

    @abstractmethod
    def forward(self, x: Tensor, quality: Tensor, given: Conditioning | None = None) -> Tensor:
        """``quality``: (B,) int64 levels; ``given``: for what is attached."""


class SynthesisTransform(Stages):
    """g_s: y_hat (B, M, h, w) -> pictures (B, 3, 16h, 16w) around zero, times a scale where it has scales.

    Attributes:
        latent: M, channels of y_hat.
        halo: latents on each side of one that its pixels depend on.
    """

    latent: int
    halo: int

    def forward(
        self, y_hat: Tensor, quality: Tensor, given: Conditioning | None = None, scale: int = 1
    ) -> Tensor:
        """``quality``: (B,) int64 levels, all of one scale; ``given``: for what is attached."""
        return self.masked(y_hat, quality, given, scale)[0]

    @abstractmethod
    def masked(
        self, y_hat: Tensor, quality: Tensor, given: Conditioning | None, scale: int = 1
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The picture, and the masks of what is attached, coarse to fine, (B, 1, h, w) each."""
