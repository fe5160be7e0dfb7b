"""A painter of one's own for ``misc``: Stable Diffusion from a folder, here a tiny random one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shared.bundle import read_bundle, shipped_bundle
from shared.codecs import load_decoder
from shared.codecs.halves import LatentDecoder
from shared.errors import MissingExtraError
from shared.painting import diffusion
from shared.painting.diffusion import DiffusionPainter, check_pipeline
from shared.painting.painter import PainterError
from shared.pictures import Picture
from shared.systems import misc
from shared.telling.telling import Item, Telling
from tests.pipeline_models import EDGE, make_pipeline

MAP = np.zeros((8, 8), np.bool_)
MAP[2:4, 4:7] = True
WORDS = "Three bright hats hang on a blue wall."
TELLING = Telling(WORDS, (Item("red hat", "a bright red cap", MAP),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("models") / "pipeline")


@pytest.fixture(scope="module")
def painter(folder: Path) -> DiffusionPainter:
    return DiffusionPainter(folder)


def reference(height: int, width: int) -> Picture:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (5, EDGE), (EDGE + 1, 2 * EDGE - 3), (7 * EDGE, 3 * EDGE)]
)
def test_a_picture_of_any_size_is_painted_in_its_size(
    height: int, width: int, painter: DiffusionPainter
) -> None:
    """Smaller than the canvas, odd, and larger: what is larger is not painted as such."""
    poor = reference(height, width)
    painted = painter.paint(poor, TELLING, 1)
    assert painted.shape == poor.shape
    assert painted.dtype == np.uint8
    assert not np.array_equal(painted, poor)


def test_the_canvas_is_bounded_whatever_the_picture(painter: DiffusionPainter) -> None:
    for sides in ((8192, 8192), (1, 8192), (8192, 3)):
        assert max(painter._canvas(*sides)) == 2 * EDGE
    assert painter._canvas(EDGE + 8, 20) == (EDGE + 8, 20)
    assert painter._canvas(4, 2) == (EDGE, EDGE // 2)


def test_the_same_arguments_paint_the_same_and_others_another(
    folder: Path, painter: DiffusionPainter
) -> None:
    poor = reference(EDGE, EDGE + 6)
    painted = painter.paint(poor, TELLING, 1)
    np.testing.assert_array_equal(painted, painter.paint(poor, TELLING, 1))
    np.testing.assert_array_equal(painted, DiffusionPainter(folder).paint(poor, TELLING, 1))
    others = [
        painter.paint(poor, TELLING, 2),
        painter.paint(poor, Telling("A ship at night.", TELLING.items), 1),
        painter.paint(poor, Telling(WORDS, (Item("sea", "", MAP),)), 1),
        painter.paint(poor, Telling(WORDS, (Item("red hat", "a bright red cap", ~MAP),)), 1),
        painter.paint(255 - poor, TELLING, 1),
        painter.paint(poor, Telling(), 1),
    ]
    assert all(not np.array_equal(painted, other) for other in others)


def test_an_item_changes_its_place_alone_before_the_whole_is_painted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pass is one of the real pipeline; the last one is left out, to see what it begins with."""
    painter = DiffusionPainter(folder)
    real, told = painter._pass, []

    def passing(state, text, steps, noise):  # type: ignore[no-untyped-def]
        told.append((text, steps))
        return state if steps == diffusion.WHOLE_STEPS else real(state, text, steps, noise)

    monkeypatch.setattr(painter, "_pass", passing)
    poor = reference(48, 48)
    items = (Item("red hat", "a bright red cap", MAP), Item("sea"), Item("wall", "", MAP.T))
    changed = (painter.paint(poor, Telling(WORDS, items), 1) != poor).any(axis=2)
    # A place is a cell of 6x6 pixels, with soft edges that reach half a cell further.
    sure, near = MAP | MAP.T, np.zeros((48, 48), np.bool_)
    for row, column in np.argwhere(sure):
        near[max(0, 6 * row - 3) : 6 * row + 9, max(0, 6 * column - 3) : 6 * column + 9] = True
    assert not changed[~near].any()
    assert changed[15:21, 27:39].mean() > 0.9
    assert told == [
        ("a bright red cap", diffusion.ITEM_STEPS),
        ("wall", diffusion.ITEM_STEPS),
        (f"{diffusion.QUALITY_PROMPT}, {WORDS}", diffusion.WHOLE_STEPS),
    ]
    assert 4 <= diffusion.WHOLE_STEPS / diffusion.ITEM_STEPS <= 8


def test_a_long_telling_is_cut_where_the_model_cuts_it(painter: DiffusionPainter) -> None:
    poor = reference(EDGE, EDGE)
    first, other = (Telling(" ".join(["abcdefghi"] * 49 + [last])) for last in ("one", "two"))
    np.testing.assert_array_equal(painter.paint(poor, first, 1), painter.paint(poor, other, 1))


# Folders


def strip(folder: Path, name: str) -> None:
    (folder / name).unlink()


def as_pickle(folder: Path) -> None:
    (folder / "unet/diffusion_pytorch_model.safetensors").rename(
        folder / "unet/diffusion_pytorch_model.bin"
    )


def without_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file  # noqa: PLC0415

    path = folder / "vae/diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["decoder.conv_in.weight"]
    save_file(tensors, path)


def with_code(folder: Path) -> None:
    """A list of parts that asks for code of its own."""
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["own", "Scheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "scheduler/own.py").write_text("open('ran', 'w')\nclass Scheduler: pass\n")


def for_inpainting(folder: Path) -> None:
    """A network that asks for more than a picture."""
    path = folder / "unet/config.json"
    config = json.loads(path.read_text()) | {"in_channels": 9}
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "is no folder"),
        (lambda folder: strip(folder, "model_index.json"), "holds no pipeline"),
        (lambda folder: strip(folder, "unet/config.json"), "holds no usable pipeline"),
        (lambda folder: strip(folder, "tokenizer/tokenizer.json"), "lacks its tokenizer"),
        (lambda folder: strip(folder, "text_encoder/model.safetensors"), "no usable pipeline"),
        (as_pickle, "holds no usable pipeline"),
        (without_a_weight, r"has no weights for vae's decoder\.conv_in\.weight"),
        (with_code, "holds no usable pipeline"),
        (for_inpainting, "no weights|no usable pipeline|tried on a grey picture"),
    ],
)
def test_a_folder_that_is_no_painter_is_refused(
    tmp_path: Path,
    folder: Path,
    spoil: Callable[[Path], None],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    spoil(copy)
    with pytest.raises(PainterError, match=message) as caught:
        DiffusionPainter(copy)
    assert str(copy) in str(caught.value)
    assert not Path("ran").exists()


def test_without_the_library_it_says_which_extra_is_lacking(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.extras.find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match=r"painter .* needs sidewire\[diffusion\]"):
        check_pipeline(folder)


# In misc


def test_it_is_named_by_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong name is found when a decoder is made, not with its first picture."""
    monkeypatch.setenv("SIDEWIRE_MISC_PAINTER", str(folder))
    stream, bundle = load_decoder(misc.STREAM), read_bundle(shipped_bundle(misc.STREAM))
    assert isinstance(stream, LatentDecoder)
    assert isinstance(misc._painter(bundle, stream), DiffusionPainter)
    monkeypatch.setenv("SIDEWIRE_MISC_PAINTER", str(tmp_path / "none"))
    with pytest.raises(PainterError, match="is no folder"):
        misc.decoder(bundle, None, None)
