"""Text encoders: a caption in, a sentence vector and a matrix of token vectors out."""

from shared.text.interface import (
    Note,
    TextEncoder,
    TextFeatures,
    TextWeightsError,
    UnknownTextEncoderError,
)
from shared.text.registry import DEFAULT_TEXT_ENCODER, get_text_encoder

__all__ = [
    "DEFAULT_TEXT_ENCODER",
    "Note",
    "TextEncoder",
    "TextFeatures",
    "TextWeightsError",
    "UnknownTextEncoderError",
    "get_text_encoder",
]
