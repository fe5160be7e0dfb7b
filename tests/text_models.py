"""Tiny random text models on disk, written by the libraries that read them."""

from __future__ import annotations

import json
import string
from pathlib import Path

import open_clip
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5Model,
)

WINDOW = 16
WIDTH = 8
#: Deviation of the weights: larger than usual, so that vectors of different texts differ.
SPREAD = 0.3
#: The name that make_clip registers with open_clip, for weights in a file of their own.
CLIP_NAME = "sidewire-tiny-clip"


def make_bert(folder: Path, language: str | None = "en") -> Path:
    """A BERT; ``language`` is what its card says."""
    config = BertConfig(
        vocab_size=_vocabulary_size(),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=WINDOW,
        initializer_range=SPREAD,
    )
    _save(BertModel(config), folder)
    if language:
        (folder / "README.md").write_text(f"---\nlanguage: {language}\n---\n# Tiny\n")
    return folder


def make_roberta(folder: Path) -> Path:
    """A RoBERTa, whose positions begin after the padding's id."""
    config = RobertaConfig(
        vocab_size=_vocabulary_size(),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=WINDOW + 1,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        initializer_range=SPREAD,
    )
    _save(RobertaModel(config), folder)
    return folder


def make_t5(folder: Path) -> Path:
    """A T5, of which only the encoder is a text encoder."""
    config = T5Config(
        vocab_size=_vocabulary_size(),
        d_model=WIDTH,
        d_kv=4,
        d_ff=16,
        num_layers=2,
        num_heads=2,
        pad_token_id=0,
        eos_token_id=3,
        decoder_start_token_id=0,
    )
    _save(T5Model(config), folder)
    return folder


def make_clip(folder: Path) -> Path:
    """A CLIP as open_clip saves one: its config, and weights beside it."""
    folder.mkdir(parents=True)
    settings = {
        "embed_dim": 6,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 8, "head_width": 4, "patch_size": 8},
        "text_cfg": {
            "context_length": WINDOW,
            "vocab_size": 49408,
            "width": WIDTH,
            "heads": 2,
            "layers": 2,
        },
    }
    (folder / f"{CLIP_NAME}.json").write_text(json.dumps(settings))
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": settings}))
    open_clip.add_model_config(folder / f"{CLIP_NAME}.json")
    torch.manual_seed(0)
    model = open_clip.create_model(CLIP_NAME)
    with torch.no_grad():
        model.token_embedding.weight.mul_(50)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder


def _vocabulary() -> dict[str, int]:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = string.ascii_lowercase + string.digits + ".,[]"
    return {
        token: index
        for index, token in enumerate([*special, *letters, *(f"##{letter}" for letter in letters)])
    }


def _vocabulary_size() -> int:
    return len(_vocabulary())


def _save(model: BertModel | RobertaModel | T5Model, folder: Path) -> None:
    torch.manual_seed(0)
    model.init_weights()
    model.save_pretrained(folder)
    tokenizer = Tokenizer(WordPiece(_vocabulary(), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)
