"""Codecs of bundles that do not ship, with both halves at hand."""

from __future__ import annotations

from pathlib import Path

from shared.bundle import Bundle, Manifest
from shared.codecs import Codec
from shared.codecs.halves import LatentDecoder, LatentEncoder
from shared.codecs.loading import decoder_of, encoder_of, load_bundle
from shared.networks.precision import Precision

__all__ = ["Whole", "whole"]


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
