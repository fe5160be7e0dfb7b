"""Captioners in the format of the transformers library: BLIP, GIT and their like.

A model is a folder on this machine, its weights in safetensors. Nothing is ever fetched, no code of a
model's own is run, and a model that wants a prompt is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from shared.captioner import Captioner, CaptionerError
from shared.errors import reason_of
from shared.networks.precision import default_device
from shared.pictures import Picture
from shared.text.cleaning import clean

__all__ = ["MOST_NEW_TOKENS", "ImageToText", "load_captioner"]

#: Of a caption: some thirty words of English.
MOST_NEW_TOKENS = 48
#: Pictures in one pass: bounds memory, whatever the batch.
PASS_PICTURES = 8
#: Longer edge, in pixels, of what a model's own preparation is given; no such model sees more.
LONGEST_EDGE = 1024
#: Nothing is fetched, and no code that comes with a model is run.
LOCAL = {"local_files_only": True, "trust_remote_code": False}
#: What a model has to find words for before it is taken.
TRIAL: Picture = np.full((32, 32, 3), 128, np.uint8)


class ImageToText(Captioner):
    """A transformers model that generates text from pixels alone, always its likeliest next token.

    Args:
        network, processor: as ``AutoModelForImageTextToText`` and ``AutoProcessor`` give them.
    """

    def __init__(self, network: Any, processor: Any, device: torch.device) -> None:
        self._network = network.eval().requires_grad_(False).to(device)
        self._processor = processor
        self._device = device

    def caption_batch(self, pictures: Sequence[Picture]) -> list[str | CaptionerError]:
        """See :meth:`Captioner.caption_batch`."""
        return [caption for part in _parts(pictures) for caption in self._tried(part)]

    def _tried(self, pictures: Sequence[Picture]) -> Sequence[str | CaptionerError]:
        try:
            return self._captions(pictures)
        except Exception as error:  # a library's boundary: it documents none of what it raises
            if len(pictures) == 1:
                return [CaptionerError(f"the captioner has no words for it: {reason_of(error)}")]
        return [caption for picture in pictures for caption in self._tried([picture])]

    @torch.inference_mode()
    def _captions(self, pictures: Sequence[Picture]) -> list[str]:
        inputs = self._processor(images=list(map(_reduced, pictures)), return_tensors="pt")
        ids = self._network.generate(
            **inputs.to(self._device),
            max_new_tokens=MOST_NEW_TOKENS,
            do_sample=False,
            num_beams=1,
        )
        texts = self._processor.batch_decode(ids, skip_special_tokens=True)
        return [clean(text).text for text in texts]


def load_captioner(folder: Path, device: torch.device | None = None) -> ImageToText:
    """The captioner in a folder: config.json, model.safetensors, and the files of its processor.

    Raises:
        CaptionerError: the folder is missing; it holds no model that captions pictures, or not all of its
            weights; it lacks the processor; or the model has no words without a prompt.
    """
    if not folder.is_dir():
        raise CaptionerError(f"captioner {folder} is no folder")
    # The library reads this when it is imported.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()
    captioner = ImageToText(_network(folder), _processor(folder), device or default_device())
    try:
        captioner.caption(TRIAL)
    except CaptionerError as error:
        raise CaptionerError(f"captioner {folder}, tried on a grey picture: {error}") from None
    return captioner


def _network(folder: Path) -> Any:
    from transformers import AutoModelForImageTextToText  # noqa: PLC0415

    loader: Any = AutoModelForImageTextToText
    try:
        network, report = loader.from_pretrained(
            str(folder),
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **LOCAL,
        )
    except Exception as error:  # a library's boundary: it documents none of what it raises
        raise CaptionerError(
            f"captioner {folder} holds no usable model that captions pictures, as config.json and"
            f" model.safetensors ({reason_of(error)})"
        ) from None
    if missing := sorted(report["missing_keys"]):
        raise CaptionerError(f"captioner {folder} has no weights for {missing[0]}")
    return network


def _processor(folder: Path) -> Any:
    from transformers import AutoProcessor  # noqa: PLC0415

    loader: Any = AutoProcessor
    try:
        processor = loader.from_pretrained(str(folder), **LOCAL)
        found = type(processor).__name__
    except Exception as error:  # as above
        processor, found = None, reason_of(error)
    tokenizer = getattr(processor, "tokenizer", None)
    # Where its file is missing, the library makes one up that knows its special tokens alone.
    speaks = tokenizer is not None and len(tokenizer) > len(tokenizer.all_special_ids)
    if speaks and hasattr(processor, "image_processor"):
        return processor
    raise CaptionerError(
        f"captioner {folder} lacks its processor, an image processor and a tokenizer ({found})"
    )


def _parts(pictures: Sequence[Picture]) -> Iterator[Sequence[Picture]]:
    for start in range(0, len(pictures), PASS_PICTURES):
        yield pictures[start : start + PASS_PICTURES]


def _reduced(picture: Picture) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((LONGEST_EDGE, LONGEST_EDGE))
    return image
