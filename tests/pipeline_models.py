"""A tiny random Stable Diffusion on disk, written by the libraries that read it."""

from __future__ import annotations

import string
from pathlib import Path

import torch

__all__ = ["EDGE", "MULTIPLE", "make_pipeline"]

WIDTH = 8
LETTERS = string.ascii_lowercase + string.digits + ","
#: Pixels of a latent, and of the edge that it says it was trained for.
MULTIPLE, EDGE = 2, 32


def make_pipeline(folder: Path) -> Path:
    """One whose pictures are nonsense, and others for other words."""
    # They take seconds to import, in every process that gathers the tests.
    from diffusers import (  # noqa: PLC0415
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionImg2ImgPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer  # noqa: PLC0415

    torch.manual_seed(0)
    channels = {"block_out_channels": (WIDTH, WIDTH), "norm_num_groups": 2, "layers_per_block": 1}
    unet = UNet2DConditionModel(
        sample_size=EDGE // MULTIPLE,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        **channels,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        **channels,
    )
    start, end = "<|startoftext|>", "<|endoftext|>"
    tokens = [start, end, *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    text = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=vocabulary[start],
        eos_token_id=vocabulary[end],
    )
    StableDiffusionImg2ImgPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77),
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder
