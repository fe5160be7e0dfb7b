"""A tiny random captioner on disk, written by the library that reads it."""

from __future__ import annotations

import string
from pathlib import Path

import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

WORDS = [f"{one}{two}" for one in string.ascii_lowercase for two in "aeiou"]


#: Pixels of the edge of what it looks at.
SIDE = 32


def make_blip(folder: Path, *, resizes: bool = True) -> Path:
    """A BLIP whose captions are nonsense, and different for pictures that look different.

    Args:
        resizes: pictures to what its network takes; without that, it fails on all of another size.
    """
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]"]
    vocabulary = {token: index for index, token in enumerate([*special, *WORDS])}
    common = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    text = common | {
        "vocab_size": len(vocabulary),
        "encoder_hidden_size": 32,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "bos_token_id": vocabulary["[DEC]"],
        "eos_token_id": vocabulary["[SEP]"],
        "sep_token_id": vocabulary["[SEP]"],
        "pad_token_id": vocabulary["[PAD]"],
        "initializer_range": 0.5,
    }
    vision = common | {
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 16,
        "initializer_range": 0.5,
    }
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    model.save_pretrained(folder)
    image = BlipImageProcessor(size={"height": SIDE, "width": SIDE}, do_resize=resizes)
    BlipProcessor(image, BertTokenizer(vocab=vocabulary, bos_token="[DEC]")).save_pretrained(folder)
    return folder
