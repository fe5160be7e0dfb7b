"""What a latent codec is: y to y_hat and bits while training, y to bytes and back when coding.

One module does both, so that what is trained is what is coded. It is in one of two states: *learning*, with
a trainable entropy model, or *frozen*, with integers and tables from a bundle; it codes when frozen.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["ROUNDING", "Coded", "Contents", "LatentCodec", "LatentSymbols", "Sections"]

#: The dead zone of plain rounding.
ROUNDING = 0.5
#: Tensors by section of a bundle, and by name within it.
Sections = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Coded:
    """One training pass.

    Attributes:
        y_hat: (B, M, H, W), the values that a decoder would have; gradients pass as if nothing was rounded.
        bits: (B,), of everything that is coded; in training mode of noisy values, which have gradients.
    """

    y_hat: Tensor
    bits: Tensor


class LatentSymbols(Protocol):
    """What is coded of a picture."""

    @property
    def coded(self) -> tuple[NDArray[np.int16], ...]:
        """The symbols, in the order in which the container's checksum covers them."""


SymbolsT = TypeVar("SymbolsT", bound=LatentSymbols)


@dataclass(frozen=True)
class Contents(Generic[SymbolsT]):
    """Everything that one payload holds.

    Attributes:
        bottom: the word below all symbols; 0 where there is none.
    """

    symbols: SymbolsT
    bottom: int


class LatentCodec(nn.Module, Generic[SymbolsT]):
    """y (B, M, H, W) <-> symbols <-> payload; coding is one picture at a time, reconstruction several.

    Attributes:
        sections: of a bundle that hold it.
        stream_sections: those of them that give symbols their meaning; the model id is a hash over them.
        decoder_sections: those that a decoder needs.
    """

    sections: tuple[str, ...]
    stream_sections: tuple[str, ...]
    decoder_sections: tuple[str, ...]

    @abstractmethod
    def forward(self, y: Tensor, quality: Tensor, text: Tensor | None = None) -> Coded:
        """One training pass at levels ``quality`` (B,).

        Args:
            text: (B, D) sentence vectors that the encoder is told, for a codec whose stream says something
                of them; others do not read it. None for nothing.
        """

    @abstractmethod
    def received(self, y: Tensor, quality: Tensor) -> Tensor:
        """What a decoder would have of y (B, M, H, W) at levels (B,), without gradient."""

    @abstractmethod
    def analyse(
        self, y: Tensor, quality: int, dead_zone: float = ROUNDING, text: Tensor | None = None
    ) -> SymbolsT:
        """The symbols of y (1, M, H, W), H and W multiples of 4.

        Args:
            text: (1, D), see :meth:`forward`.
            dead_zone: what is nearer to its mean than this becomes zero; half a step is plain rounding, more
                makes streams smaller.
        """

    @abstractmethod
    def compress(self, symbols: SymbolsT, quality: int, bottom: int = 0) -> bytes:
        """The payload of some symbols, with a word of at most 24 bits below them."""

    @abstractmethod
    def decompress(
        self, payload: bytes, quality: int, rows: int, columns: int
    ) -> Contents[SymbolsT]:
        """What a payload holds, for a picture of ``rows x columns`` blocks of 64 pixels.

        Raises:
            CorruptStreamError: the payload is too short for the size (found out before anything is
                allocated for it), or is not what an encoder wrote.
        """

    @abstractmethod
    def reconstruct(self, symbols: Sequence[SymbolsT], levels: Sequence[int]) -> Tensor:
        """y_hat of pictures of one size, each at its level, (B, M, H, W) float32."""

    @abstractmethod
    def bit_map(self, symbols: SymbolsT) -> NDArray[np.float32]:
        """Ideal code length of y at each place, (H, W) float32 bits."""

    @abstractmethod
    def freeze(self, sections: Sections) -> None:
        """Take over exported numbers; from then on it codes. Sections beyond the decoder's may be missing.

        Raises:
            RuntimeError, KeyError, ValueError: they do not fit.
        """

    @abstractmethod
    def ready(self, device: torch.device, dtype: torch.dtype) -> None:
        """Place what was frozen for use; float convolutions run in ``dtype``."""
