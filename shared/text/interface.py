"""What every text encoder is: an id, widths, and captions to vectors.

A zero vector means "no text". It is what a missing or empty caption gives, beside a mask without a
single True, so that a generator needs no second way of saying so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from shared.errors import SidewireError

__all__ = [
    "UNDETERMINED",
    "Note",
    "TextEncoder",
    "TextFeatures",
    "TextWeightsError",
    "UnknownTextEncoderError",
]

#: BCP 47's subtag of a language that is not known.
UNDETERMINED = "und"


class UnknownTextEncoderError(SidewireError):
    """No text encoder is meant by that name."""


class TextWeightsError(SidewireError):
    """A text encoder's weights are missing, damaged or of a kind that is not supported."""


@dataclass(frozen=True)
class Note:
    """What to know about one caption's features; all fields are false where all is well.

    Attributes:
        foreign_language: the caption's language, if the encoder does not know it: a primary language
            subtag of BCP 47 such as "de", or "und" where only that much is certain.
        text_cut: the caption was too long, and its end was not read.
        tokens_cut: the token matrix ends before the caption; the sentence vector does not.
    """

    foreign_language: str = ""
    text_cut: bool = False
    tokens_cut: bool = False

    @property
    def in_words(self) -> str:
        """The note as it is shown to people; empty where all is well."""
        remarks = []
        if self.foreign_language == UNDETERMINED:
            remarks.append("its language is not one that the text encoder was trained on")
        elif self.foreign_language:
            remarks.append(
                f"its language is {self.foreign_language}, which the text encoder was not trained on"
            )
        if self.text_cut:
            remarks.append("it is too long, and its end was not read")
        return "; ".join(remarks)


@dataclass(frozen=True)
class TextFeatures:
    """Features of B captions, float32 on the encoder's device, without gradient.

    Attributes:
        sentence: (B, D); all zero for a caption without text.
        tokens: (B, T, D_t), T of the longest caption and at least 1; zero where ``mask`` is False.
        mask: (B, T) bool, True for tokens (the model's special ones among them).
        notes: one a caption.
    """

    sentence: Tensor
    tokens: Tensor
    mask: Tensor
    notes: tuple[Note, ...]


class TextEncoder(ABC):
    """A frozen text encoder; safe to share between threads.

    Attributes:
        id: kind and content hash; equal ids mean equal vectors. On the wire as ``text_encoder_id``.
        sentence_width: D.
        token_width: D_t.
        most_tokens: longest T.
    """

    id: str
    sentence_width: int
    token_width: int
    most_tokens: int

    @abstractmethod
    def encode(
        self, captions: Sequence[str | None], languages: Sequence[str] | None = None
    ) -> TextFeatures:
        """Features of captions, whatever they contain; no caption influences another's.

        Args:
            captions: None or a text of nothing but spaces means "no text".
            languages: BCP 47 tags that came with the captions, one each, "" where unknown.

        Raises:
            ValueError: there are not as many languages as captions.
        """
