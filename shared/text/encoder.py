"""The one text encoder: any tower, with cleaning, windows, cache and notes around it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch

from shared.text.cache import FeatureCache
from shared.text.cleaning import CleanText, clean
from shared.text.interface import Note, TextEncoder, TextFeatures
from shared.text.language import foreign_language
from shared.text.tower import TextTower, fingerprint
from shared.text.windows import CaptionFeatures, caption_features

__all__ = ["MOST_TOKENS", "TowerEncoder"]

#: Rows of a token matrix: three of CLIP's windows.
MOST_TOKENS = 256


class TowerEncoder(TextEncoder):
    """Encodes captions with a tower.

    Args:
        cache: may be shared with other encoders.
    """

    most_tokens = MOST_TOKENS

    def __init__(self, tower: TextTower, cache: FeatureCache) -> None:
        self.id = f"{tower.kind}:{fingerprint(tower)}"
        self.sentence_width = tower.sentence_width
        self.token_width = tower.token_width
        self._tower = tower
        self._cache = cache
        self._space = f"{self.id} {tower.device}"
        self._lock = threading.Lock()

    def encode(
        self, captions: Sequence[str | None], languages: Sequence[str] | None = None
    ) -> TextFeatures:
        """See :meth:`TextEncoder.encode`."""
        stated = [""] * len(captions) if languages is None else languages
        if len(stated) != len(captions):
            raise ValueError(f"{len(stated)} languages for {len(captions)} captions")
        texts = [clean(caption) for caption in captions]
        found = self._features({text.text for text in texts if text.text})
        rows = [found.get(text.text) for text in texts]
        notes = map(self._note, texts, stated, rows)
        return self._stack(rows, tuple(notes))

    def _features(self, texts: set[str]) -> dict[str, CaptionFeatures | None]:
        found = {text: self._cache.get(self._space, text) for text in texts}
        missing = sorted(text for text, features in found.items() if features is None)
        if missing:
            # Tokenizers keep state between calls, and torch uses all cores for one.
            with self._lock:
                made = caption_features(self._tower, missing, self.most_tokens)
            for text, features in zip(missing, made, strict=True):
                found[text] = features
                if features is not None:
                    self._cache.put(self._space, text, features)
        return found

    def _note(self, text: CleanText, stated: str, features: CaptionFeatures | None) -> Note:
        return Note(
            foreign_language=foreign_language(text.text, stated, self._tower.languages),
            text_cut=text.cut,
            tokens_cut=features is not None and features.tokens_cut,
        )

    def _stack(
        self, rows: Sequence[CaptionFeatures | None], notes: tuple[Note, ...]
    ) -> TextFeatures:
        """Rows as one batch, in memory of its own: what a caller does to it reaches no cache."""
        device = self._tower.device
        longest = max((len(row.tokens) for row in rows if row is not None), default=1)
        sentence = torch.zeros(len(rows), self.sentence_width, device=device)
        tokens = torch.zeros(len(rows), longest, self.token_width, device=device)
        mask = torch.zeros(len(rows), longest, dtype=torch.bool, device=device)
        for index, row in enumerate(rows):
            if row is not None:
                length = len(row.tokens)
                sentence[index] = row.sentence
                tokens[index, :length] = row.tokens
                mask[index, :length] = True
        return TextFeatures(sentence, tokens, mask, notes)
