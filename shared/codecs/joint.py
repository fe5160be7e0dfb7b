"""Codecs of the `joint` recipe: an encoder that learned together with its generator.

What they write are containers of the same stream (P's decoder half stands), so every generator reads
them. With words at both ends the encoder must be given the caption: such a codec is for measuring what
the words would be worth there, and no sender of this project runs it.
"""

from __future__ import annotations

from functools import partial

import torch

from shared.bitstream.container import CODEC_IDS, Header
from shared.codecs.base import HyperpriorCodec
from shared.codecs.interface import Encoded, TextPlacement
from shared.codecs.ssa import STREAM, SsaCodec
from shared.errors import BundleError
from shared.generator_bundle import GeneratorBundle
from shared.networks.precision import cast_convolutions
from shared.networks.ssa import Conditioning
from shared.networks.told_analysis import ToldAnalysis
from shared.networks.transforms import Analysis
from shared.pictures import Picture

__all__ = ["JointCodec"]


class JointCodec(SsaCodec):
    """A generator with the encoder that it learned with; arguments as :class:`SsaCodec`'s.

    Pictures that need more than one window of the stream's analysis are cut there without the block's
    own reach; all that it is measured on fit in one.
    """

    def __init__(self, bundle: GeneratorBundle, stream: HyperpriorCodec) -> None:
        super().__init__(bundle, stream)
        self.told = bundle.manifest.encoder == "told"
        if self.told:
            self.text = TextPlacement.BOTH
        size = bundle.manifest.size
        analysis = Analysis(stream.latents.size, torch.zeros(stream.latents.size.levels))
        encoder = ToldAnalysis(analysis, size.text_width, size.text_hidden, size.mask_hidden)
        try:
            encoder.load_state_dict(bundle.section("g_a"))
        except RuntimeError as error:
            raise BundleError(f"bundle {self.name}: {error}") from None
        encoder.requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)
        self.encoder = cast_convolutions(encoder, self.dtype)

    def encode(self, picture: Picture, quality: int) -> Encoded:
        """See :meth:`Codec.encode`: without words, also where the encoder could be told some."""
        return self.encode_told(picture, quality, None)

    @torch.inference_mode()
    def encode_told(self, picture: Picture, quality: int, caption: str | None) -> Encoded:
        """Encode with the caption at hand; it is read only by an encoder that is told.

        Raises:
            QualityError, LimitError: as :meth:`Codec.encode`.
        """
        height, width = self.check(picture, quality)
        level = self.levels[quality]
        text = torch.zeros(1, self.text_width, device=self.device)
        if self.told and caption:
            text = self.text_encoder.encode([caption]).sentence.to(self.device)
        transform = partial(self.encoder, words=Conditioning(text))
        header = Header(CODEC_IDS[STREAM], self.model_id, width, height, quality)
        container = self.stream.seal(level.prepare(picture), level.quality, header, transform)
        return Encoded(container.to_bytes(), width, height)
