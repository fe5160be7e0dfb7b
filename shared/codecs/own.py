"""How a system is put together whose pictures pass no latent codec of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from shared.bundle import Bundle
from shared.codecs.interface import AnyEncoder, StreamDecoder
from shared.networks.precision import Precision

__all__ = ["OwnHalves"]


@dataclass(frozen=True)
class OwnHalves:
    """What the module of such a system has as ``HALVES``, where others have ``parts``.

    Attributes:
        qualities: its levels, coarsest first.
        model_id: a bundle to the id of the streams that it writes and reads, in hexadecimal digits.
        encoder, decoder: a bundle, and where and how networks run, to a half.
    """

    qualities: tuple[int, ...]
    model_id: Callable[[Bundle], str]
    encoder: Callable[[Bundle, Precision | None, torch.device | None], AnyEncoder]
    decoder: Callable[[Bundle, Precision | None, torch.device | None], StreamDecoder]
