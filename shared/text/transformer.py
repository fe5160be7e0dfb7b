"""Text models in the format of the transformers library: BERT, RoBERTa, T5 and their like.

Nothing is ever fetched: a model is a folder, or a name that is in the local cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from shared.errors import reason_of
from shared.text.interface import TextWeightsError
from shared.text.tower import TextTower, masked_mean

__all__ = ["TransformerTower", "load_transformer"]

#: Longer windows than this gain nothing and cost memory by their square.
LONGEST_WINDOW = 512
#: Of a model's configuration, what says where it came from and not what it computes.
PROVENANCE = frozenset({"_name_or_path", "architectures", "dtype", "transformers_version"})


class TransformerTower(TextTower):
    """A transformers encoder: tokens are its last hidden state, the sentence their masked mean.

    Args:
        window: the model's own limit or less.
    """

    normalised = False

    def __init__(
        self,
        kind: str,
        network: Any,
        tokenizer: Any,
        window: int,
        device: str,
        languages: frozenset[str],
    ) -> None:
        self.kind = kind
        self.device = torch.device(device)
        self.network = network.eval().requires_grad_(False).to(self.device)
        self.settings = _changed(network.config)
        self.window = window
        self.languages = languages
        self.prefix, self.suffix = _around(tokenizer)
        self.pad_id = tokenizer.pad_token_id or 0
        self._tokenizer = tokenizer
        self.sentence_width = self.token_width = int(network.config.hidden_size)

    def vocabulary(self) -> Mapping[str, int]:
        """Ids of tokens."""
        return dict(self._tokenizer.get_vocab())

    def tokenize(self, text: str) -> list[int]:
        """Token ids; words that look like special tokens are read as words."""
        # Not verbose: it would warn of long texts, which are cut into windows after this.
        encoded = self._tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )
        return list(encoded["input_ids"])

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`TextTower.forward`."""
        output = self.network(input_ids=ids, attention_mask=mask.long())
        tokens: Tensor = output.last_hidden_state
        return masked_mean(tokens, mask), tokens


def _changed(config: Any) -> dict[str, Any]:
    """Settings that are not the default: those do not change with the library's version."""
    default = type(config)().to_dict()
    return {
        key: value
        for key, value in config.to_dict().items()
        if key not in PROVENANCE and (key not in default or value != default[key])
    }


def _around(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Special tokens that the tokenizer puts before and after a text."""
    text = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for start in range(len(whole) - len(text) + 1):
        end = start + len(text)
        if text and whole[start:end] == text:
            return tuple(whole[:start]), tuple(whole[end:])
    raise TextWeightsError("the tokenizer's special tokens do not stand around the text")


def load_transformer(name: str, device: str) -> TransformerTower:
    """Any text model: a folder, or the name of a model in the local cache of Hugging Face files.

    Raises:
        TextWeightsError: it is not there, is damaged or incomplete, or is no text model.
    """
    network, tokenizer = _load(name)
    positions = _positions(network)
    window = min(positions, int(tokenizer.model_max_length), LONGEST_WINDOW)
    kind = str(network.config.model_type)
    return TransformerTower(kind, network, tokenizer, window, device, _card_languages(Path(name)))


def _load(name: str) -> tuple[Any, Any]:
    """Network and tokenizer, from local files alone."""
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True)
        network, report = AutoModel.from_pretrained(
            name, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # a library's boundary: it documents none of what it raises
        raise TextWeightsError(
            f"no usable text model at {name!r}: give a folder with config.json, model.safetensors "
            f"and the tokenizer's files, or a model that was downloaded before ({reason_of(error)})"
        ) from None
    # A head over the first token: not used, often not stored, and then random.
    if hasattr(network, "pooler"):
        network.pooler = None
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise TextWeightsError(f"text model {name!r} has no weights for {missing[0]}")
    if network.config.is_encoder_decoder:
        network = network.get_encoder()
    if not hasattr(network.config, "hidden_size"):
        raise TextWeightsError(f"{name!r} is a {network.config.model_type}, not a text model")
    return network, tokenizer


def _positions(network: Any) -> int:
    """Longest input. Some models (RoBERTa) begin to count positions after the padding's id."""
    table = getattr(getattr(network, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    offset = 0 if padding is None else padding + 1
    return int(getattr(network.config, "max_position_embeddings", LONGEST_WINDOW)) - offset


def _card_languages(folder: Path) -> frozenset[str]:
    """Languages in the front matter of the model's card; none where it does not say."""
    try:
        matter = (folder / "README.md").read_text(encoding="utf-8").split("---\n")[1]
        listed = yaml.safe_load(matter)["language"]
    except (OSError, UnicodeDecodeError, IndexError, KeyError, TypeError, yaml.YAMLError):
        return frozenset()
    tags = [listed] if isinstance(listed, str) else listed
    # "multilingual" and its like name no language, so nothing can be said.
    return frozenset(map(str, tags)) if all(len(str(tag)) <= 3 for tag in tags) else frozenset()
