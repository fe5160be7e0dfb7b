"""Text towers of CLIP models, by open_clip, from local weights.

A tower must be open_clip's own text transformer with its own tokenizer, as in all CLIP models of
OpenAI, LAION and DataComp; those that take both from another library are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transformer import TextTransformer
from torch import Tensor
from torch.nn import functional as F

from shared.errors import reason_of
from shared.text.interface import TextWeightsError, UnknownTextEncoderError
from shared.text.tower import TextTower, unit

__all__ = ["ClipTower", "load_clip", "located"]

#: Words that the tokenizer may remember: at worst some 60 MB.
REMEMBERED_WORDS = 1 << 12


class ClipTower(TextTower):
    """A CLIP text tower: the pooled vector at unit length, and all positions after ``ln_final``.

    Args:
        network: is changed to give tokens too.
        config: that it was made of, as in open_clip_config.json.
        tokenizer: is changed to find no special tokens in a text.
    """

    kind = "clip"
    normalised = True
    languages = frozenset({"en"})
    pad_id = 0

    def __init__(
        self,
        network: TextTransformer,
        config: Mapping[str, Any],
        tokenizer: open_clip.SimpleTokenizer,
        device: str,
    ) -> None:
        self.device = torch.device(device)
        self.network = network.eval().requires_grad_(False).to(self.device)
        network.output_tokens = True
        self.settings = _changed(config)
        self.window = int(network.context_length)
        self.prefix = (tokenizer.sot_token_id,)
        self.suffix = (tokenizer.eot_token_id,)
        self.token_width = int(network.width)
        self.sentence_width = int(network.output_dim)
        self._tokenizer = tokenizer
        # It begins with the special tokens, which a caption could then write out.
        tokenizer.cache.clear()

    def vocabulary(self) -> Mapping[str, int]:
        """Ids of tokens."""
        return dict(self._tokenizer.encoder)

    def tokenize(self, text: str) -> list[int]:
        """Token ids; words that look like special tokens are read as words."""
        if len(self._tokenizer.cache) > REMEMBERED_WORDS:
            self._tokenizer.cache.clear()
        return list(self._tokenizer.encode(text))

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`TextTower.forward`. The network takes whole windows only."""
        length = ids.shape[1]
        sentence, tokens = self.network(F.pad(ids, (0, self.window - length), value=self.pad_id))
        return unit(sentence), tokens[:, :length]


def _changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the text tower that are not the default, and the one that its config lacks."""
    default = asdict(open_clip.CLIPTextCfg())
    settings = asdict(open_clip.CLIPTextCfg(**config["text_cfg"]))
    changed = {key: value for key, value in settings.items() if value != default[key]}
    return {**changed, "quick_gelu": bool(config.get("quick_gelu", False))}


def load_clip(source: str, device: str) -> ClipTower:
    """A CLIP text tower.

    Args:
        source: a folder with ``open_clip_config.json`` and weights, or ``NAME@FILE``: one of
            open_clip's model names and its weights. OpenAI's weights want the names in
            ``-quickgelu``; with another name they give other vectors without complaint.

    Raises:
        UnknownTextEncoderError: no such model name. TextWeightsError: no or damaged weights, or a
            tower of another kind.
    """
    return _load(source, *located(source), device)


def located(source: str) -> tuple[str, str | None]:
    """A source as open_clip's name of the model, and its file of weights where the name is not enough.

    Raises:
        UnknownTextEncoderError, TextWeightsError: as :func:`load_clip` does, for what is not there.
    """
    name, _, file = source.partition("@")
    if Path(source).is_dir():
        return f"local-dir:{Path(source).resolve()}", None
    if name not in open_clip.list_models():
        raise UnknownTextEncoderError(
            f"clip:{source}: neither a folder nor one of open_clip.list_models(); "
            "write clip:FOLDER or clip:NAME@FILE, such as clip:ViT-B-32@/weights/clip.safetensors"
        )
    if not file or not Path(file).is_file():
        raise TextWeightsError(
            f"no weights for clip:{source}: download a checkpoint of {name} and give its file as "
            f"clip:{name}@FILE"
        )
    return name, str(Path(file).resolve())


def _load(source: str, name: str, weights: str | None, device: str) -> ClipTower:
    try:
        config = open_clip.get_model_config(name)
        settings = config["text_cfg"]
        borrowed = "hf_model_name" in settings or "hf_tokenizer_name" in settings
        if not borrowed:
            model = open_clip.create_model(
                name, pretrained=weights, force_custom_text=True, require_pretrained=True
            )
            tokenizer = open_clip.SimpleTokenizer(**settings.get("tokenizer_kwargs", {}))
    except Exception as error:  # a library's boundary: it documents none of what it raises
        raise TextWeightsError(f"cannot load clip:{source}: {reason_of(error)}") from None
    if borrowed or not isinstance(model.text, TextTransformer) or model.text.cls_emb is not None:
        raise TextWeightsError(
            f"clip:{source}: its text tower is not supported, only CLIP's own is"
        )
    return ClipTower(model.text, config, tokenizer, device)
