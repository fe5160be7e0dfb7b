"""A painter in the format of the diffusers library: Stable Diffusion, as MISC's decoder has it.

Li et al., section III.E, equations 7 and 8, in pixels::

    S[-1] = reference    S[j] = M[j] D_n(S[j-1], T_d[j]) + (1 - M[j]) S[j-1]
    x_hat = D_n'(S[J-1], T_aes + T_all)                               n' = 6 n steps

D is the library's image-to-image pass. Their weights, DiffBIR's, hear the reference in each step; here it is
what the steps begin from. A pipeline is a folder on this machine, its weights in safetensors. Nothing is ever
fetched, no code of a model's own is run, and its safety checker, if it has one, is left out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from shared.errors import reason_of
from shared.extras import need
from shared.networks.precision import default_device
from shared.painting.painter import Painter, PainterError
from shared.pictures import Picture
from shared.telling.telling import Telling

if TYPE_CHECKING:
    from shared.telling.telling import ItemMap

__all__ = ["QUALITY_PROMPT", "DiffusionPainter", "check_pipeline"]

#: T_aes (section III.E). It comes first: text encoders of CLIP cut what is longer than 77 tokens.
QUALITY_PROMPT = "hyper detail, masterpiece, 4K"
#: n and n', which is 4 to 8 times as many.
ITEM_STEPS, WHOLE_STEPS = 4, 24
#: A pass begins half way between the picture and noise.
STRENGTH = 0.5
#: The canvas' longer edge, at most, in edges of what a pipeline was trained for.
MOST_EDGES = 2
#: What a pipeline has to paint before it is taken.
TRIAL: Picture = np.full((64, 64, 3), 128, np.uint8)
LOCAL = {"local_files_only": True}


class DiffusionPainter(Painter):
    """An image-to-image pipeline of Stable Diffusion, each item in its place and then the whole.

    The canvas has the picture's shape, and a longer edge between what the pipeline was trained for (768
    pixels, say) and twice that. A smaller picture is enlarged to it, a larger one is painted on the reduced
    canvas and enlarged again: memory and time are bounded by the canvas, whatever the picture.

    Args:
        folder: model_index.json, and a folder for each of ``unet``, ``vae``, ``text_encoder``,
            ``tokenizer`` and ``scheduler``.
        device: where it runs; the GPU if there is one, by default.

    Raises:
        PainterError: the folder is missing; it holds no such pipeline, or not all of its weights; or it
            cannot paint a grey picture.
        MissingExtraError: the library is not installed.
    """

    def __init__(self, folder: Path, device: torch.device | None = None) -> None:
        check_pipeline(folder)
        self._pipeline = _pipeline(folder).to(device or default_device())
        #: Sides of a canvas are multiples of it.
        self._multiple: int = self._pipeline.vae_scale_factor
        self._edge: int = self._pipeline.unet.config.sample_size * self._multiple
        try:
            self._pass(_tensor(TRIAL), "", 1, torch.Generator().manual_seed(0))
        except PainterError as error:
            raise PainterError(f"painter {folder}, tried on a grey picture: {error}") from None

    def paint(self, reference: Picture, telling: Telling, seed: int) -> Picture:
        """See :meth:`Painter.paint`.

        Raises:
            PainterError: the pipeline failed on it.
        """
        height, width = reference.shape[:2]
        true = self._canvas(height, width)
        state = self._padded(_tensor(_resized(reference, true)))
        # The generator of the CPU draws the same everywhere.
        noise = torch.Generator().manual_seed(seed)
        for item in telling.items:
            if item.map is None:
                continue
            painted = self._pass(state, item.detail or item.name, ITEM_STEPS, noise)
            state = torch.lerp(state, painted, _placed(item.map, true, state))
        prompt = ", ".join(text for text in (QUALITY_PROMPT, telling.description) if text)
        state = self._pass(state, prompt, WHOLE_STEPS, noise)
        return _resized(_picture(state[..., : true[0], : true[1]]), (height, width))

    def _canvas(self, height: int, width: int) -> tuple[int, int]:
        longer = max(height, width)
        scale = min(max(longer, self._edge), MOST_EDGES * self._edge) / longer
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _padded(self, state: Tensor) -> Tensor:
        down, right = (-side % self._multiple for side in state.shape[2:])
        return F.pad(state, (0, right, 0, down), mode="replicate")

    def _pass(self, state: Tensor, text: str, steps: int, noise: torch.Generator) -> Tensor:
        """So many steps of a picture (1, 3, h, w) in 0..1, told a text."""
        try:
            painted: Tensor = self._pipeline(
                prompt=text,
                image=state,
                strength=STRENGTH,
                # It takes the part of them that the strength says.
                num_inference_steps=round(steps / STRENGTH),
                generator=noise,
                output_type="pt",
            ).images
        except Exception as error:  # a library's boundary: it documents none of what it raises
            raise PainterError(f"the pipeline cannot paint it: {reason_of(error)}") from None
        return painted.float().cpu()


def check_pipeline(folder: Path) -> None:
    """See that there is a pipeline in a folder and a library to load it, without loading either.

    Raises:
        PainterError: the folder is missing, or has no model_index.json.
        MissingExtraError: the library is not installed.
    """
    need(f"painter {folder}", "diffusion")
    if not folder.is_dir():
        raise PainterError(f"painter {folder} is no folder")
    if not (folder / "model_index.json").is_file():
        raise PainterError(f"painter {folder} holds no pipeline of diffusers, as model_index.json")


def _pipeline(folder: Path) -> Any:
    # Libraries read this when they are imported.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import diffusers  # noqa: PLC0415
        import transformers  # noqa: PLC0415

        for library in (diffusers, transformers):  # they speak of texts that are cut, and show bars
            library.utils.logging.set_verbosity_error()
            library.utils.logging.disable_progress_bar()
        kind: Any = diffusers.StableDiffusionImg2ImgPipeline
        pipeline: Any = kind.from_pretrained(
            str(folder),
            unet=_network(diffusers.UNet2DConditionModel, folder, "unet"),
            vae=_network(diffusers.AutoencoderKL, folder, "vae"),
            text_encoder=_network(transformers.CLIPTextModel, folder, "text_encoder"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            trust_remote_code=False,
            **LOCAL,
        )
    except PainterError:
        raise
    except Exception as error:  # a library's boundary: it documents none of what it raises
        raise PainterError(
            f"painter {folder} holds no usable pipeline of Stable Diffusion, with weights in safetensors"
            f" ({reason_of(error)})"
        ) from None
    # Where its files are missing, the library makes one up that knows its special tokens alone.
    if len(pipeline.tokenizer) <= len(pipeline.tokenizer.all_special_ids):
        raise PainterError(f"painter {folder} lacks its tokenizer")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _network(kind: Any, folder: Path, name: str) -> Any:
    """A part of a pipeline. Whatever weights are missing the libraries would draw at random."""
    network, report = kind.from_pretrained(
        str(folder / name), use_safetensors=True, output_loading_info=True, **LOCAL
    )
    if missing := sorted(report["missing_keys"]):
        raise PainterError(f"painter {folder} has no weights for {name}'s {missing[0]}")
    return network.float().eval().requires_grad_(False)


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    if picture.shape[:2] == size:
        return picture
    height, width = size
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255


def _picture(state: Tensor) -> Picture:
    return (state[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def _placed(places: ItemMap, true: tuple[int, int], state: Tensor) -> Tensor:
    """A map (h', w') over a canvas of ``true`` pixels, before padding."""
    mask = torch.from_numpy(places.copy()).to(state)[None, None]
    mask = F.interpolate(mask, true, mode="bilinear", antialias=True)
    down, right = state.shape[2] - true[0], state.shape[3] - true[1]
    return F.pad(mask, (0, right, 0, down), mode="replicate")
