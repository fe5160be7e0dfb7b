"""The painter's run: what it learns from, that it goes on as it stopped, and from what ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shared.bundle import Bundle, read_bundle
from shared.codecs.loading import bundle_folder
from shared.pictures import Picture
from shared.systems.catalogue import system
from shared.systems.misc import model_id_of
from tests.data_sets import write_pictures
from training.recipe import Places
from training.recipes.flow import FlowRecipe

#: Pictures large enough for the grid term's regions of eight periods of 16.
SIDE = 128
TINY = {"flow": {"width": 16, "blocks": 3, "condition": 16}, "item_steps": 1, "steps": 2}


def recipe(**changes: Any) -> FlowRecipe:
    settings = {
        "name": "misc",
        "size": TINY,
        "references": [8, 11],
        "train": "train.parquet",
        "validation": "val.parquet",
        "held_out": 2,
        "batch": 2,
        "picture_batch": 2,
        "steps": 2,
        "picture_steps": 2,
        "shares": {"features": 1.0, "embedding": 1.0, "caption": 3.0, "grid": 0.5},
    }
    return FlowRecipe.model_validate(settings | changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, kodak: dict[str, Picture]) -> Path:
    """Corners of real pictures, each with a caption; as many to watch as a run watches."""
    folder = tmp_path_factory.mktemp("data")
    corners = {
        f"{name}-{top}": np.ascontiguousarray(picture[top : top + SIDE, :SIDE])
        for name, picture in kodak.items()
        for top in range(0, 384, 96)
    }
    names = sorted(corners)
    write_pictures(folder / "train.parquet", {name: corners[name] for name in names[:6]})
    write_pictures(folder / "val.parquet", {name: corners[name] for name in names[:32]})
    return folder


def places(data: Path, out: Path) -> Places:
    return Places(data, out / "run", out / "bundle", workers=1)


def trained(one: FlowRecipe, data: Path, out: Path) -> Bundle:
    where = places(data, out)
    one.carry_out(where)
    return read_bundle(where.bundle)


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    """What a run makes that nothing stops, and its folder."""
    out = tmp_path_factory.mktemp("unbroken")
    return trained(recipe(), data, out), out


def test_a_painter_learns_in_both_phases_and_says_what_it_shows(
    unbroken: tuple[Bundle, Path],
) -> None:
    bundle, out = unbroken
    flow = bundle.section("flow")
    assert flow["enter.weight"].shape[0] == TINY["flow"]["width"]  # type: ignore[index]
    # In units of what these references lack, which no channel's is 1 by chance.
    assert 0 < float(flow["spread"].min()) < float(flow["spread"].max()) < 1000
    assert bundle.manifest.provenance is not None
    assert bundle.manifest.provenance.steps == {"flow": 2, "pictures": 2}
    log = (out / "run" / "log.csv").read_text()
    assert log.count("confusion") == 2


def test_a_run_that_was_stopped_ends_as_an_unbroken_one(
    data: Path, unbroken: tuple[Bundle, Path], tmp_path: Path
) -> None:
    where = places(data, tmp_path)
    stopped = recipe().begin(recipe().load(where))
    for _ in range(3):
        stopped.advance()
    where.out.mkdir(parents=True, exist_ok=True)
    stopped.save(where.out / "checkpoint.pt")
    resumed = trained(recipe(), data, tmp_path)
    for name, value in unbroken[0].tensors.items():
        assert torch.equal(value, resumed.tensors[name]), name


def test_a_run_goes_on_from_what_ships_and_leaves_its_streams_readable(
    data: Path, tmp_path: Path
) -> None:
    shipped = read_bundle(bundle_folder(system("misc")))
    size = shipped.manifest.size
    further, where = recipe(start="misc", size=size), places(data, tmp_path)
    source = further.load(where)
    further.export(further.begin(source), source, where)
    made = read_bundle(where.bundle)
    # Before its first step all is what it began as, its units too.
    for name, value in shipped.section("flow").items():
        assert torch.equal(made.section("flow")[name], value), name
    assert model_id_of(made) == model_id_of(shipped)
    assert made.manifest.model_id == shipped.manifest.model_id  # type: ignore[union-attr]
