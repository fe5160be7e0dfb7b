"""The networks of :mod:`tests.told_system`, and its bundle, which is made without training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from shared.bundle import Manifest, identity, save_bundle
from shared.codecs.loading import load_bundle
from shared.codecs.parts import Parts
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.networks.ssa import SemanticSpatialBlock
from shared.networks.transforms import Analysis, Synthesis
from shared.systems.catalogue import TextPlacement
from tests.registered import registered as known
from tests.told_system import FOLDER, NAME

__all__ = ["Size", "parts", "registered"]

ROOT = Path(__file__).parents[1]
Size = HyperpriorSize
TEXT_WIDTH = 384


def parts(size: HyperpriorSize) -> Parts:
    """The figure."""
    block = partial(SemanticSpatialBlock, text_width=TEXT_WIDTH, text_hidden=16)
    g_a = Analysis(size, at={"latent": block})
    three = g_a, Hyperprior(size), Synthesis(size)
    return Parts(*three, levels=size.levels, text_width=TEXT_WIDTH)


def _make(folder: Path) -> None:
    """Write its bundle: the golden one's numbers, and a random block whose words change many symbols."""
    golden = load_bundle(ROOT / "tests" / "golden" / "bundle")
    manifest = golden.manifest
    assert isinstance(manifest, Manifest)
    size = Size.model_validate(manifest.size)
    torch.manual_seed(0)
    figure = parts(size)
    block = {f"g_a.at.{name}": one for name, one in figure.g_a.at.state_dict().items()}
    loud = "g_a.at.latent.beta.outer.weight"
    tensors = golden.tensors | block | {loud: torch.randn_like(block[loud]) * 0.5}
    sections = figure.latent.stream_sections
    own = {
        "codec": NAME,
        "text": TextPlacement.ENCODER,
        "text_encoder": "minilm",
        "model_id": identity(NAME, size, tensors, sections),
    }
    exact = {name.partition(".")[0] for name in tensors}
    save_bundle(folder, manifest.model_copy(update=own), tensors, exact=exact)


@contextmanager
def registered(folder: Path) -> Iterator[Path]:
    """The system, known here and in every process that is started meanwhile; its bundle."""
    with known("tests.told_system") as patch:
        patch.setenv(FOLDER, str(folder))
        _make(folder)
        yield folder
