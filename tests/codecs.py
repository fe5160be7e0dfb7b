"""Codecs of bundles that do not ship, with both halves at hand."""

from __future__ import annotations

from pathlib import Path

import torch

from shared.bundle import Bundle, Manifest
from shared.codecs import Codec
from shared.codecs.halves import LatentDecoder, LatentEncoder
from shared.codecs.loading import decoder_of, encoder_of, load_bundle
from shared.networks.precision import Precision

__all__ = ["Whole", "disturbed", "whole"]

#: Sections whose numbers are floats on every machine; symbols must not depend on them.
FLOAT_SECTIONS = {"g_a", "g_s", "h_a", "h_mu", "context"}


class Whole(Codec):
    """A bundle's halves, loaded at once."""

    encoder: LatentEncoder  # type: ignore[assignment]
    decoder: LatentDecoder  # type: ignore[assignment]

    def __init__(self, bundle: Bundle, precision: Precision | None, *, guard: bool) -> None:
        assert isinstance(bundle.manifest, Manifest)
        encoder = encoder_of(bundle, precision)
        decoder = decoder_of(bundle, precision, guard=guard)
        super().__init__(
            bundle.manifest.codec, bundle.manifest.text, lambda: encoder, lambda: decoder
        )

    @property
    def model_id(self) -> bytes:
        """The id of its containers."""
        return self.decoder.model_id


def whole(
    bundle: Bundle | Path, precision: Precision | None = Precision.FLOAT32, *, guard: bool = True
) -> Whole:
    """The codec of a bundle, or of its folder; in float32 unless something else is asked for."""
    loaded = load_bundle(bundle) if isinstance(bundle, Path) else bundle
    return Whole(loaded, precision, guard=guard)


def disturbed(bundle: Bundle, relative: float) -> Whole:
    """A bundle's codec on a machine whose every float weight is off by up to ``relative``."""
    generator = torch.Generator().manual_seed(5)
    tensors = {}
    for name, tensor in bundle.tensors.items():
        noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * 2 - 1
        is_float = name.split(".")[0] in FLOAT_SECTIONS
        tensors[name] = tensor.double() * (1 + relative * noise) if is_float else tensor
    return whole(Bundle(bundle.manifest, tensors))
