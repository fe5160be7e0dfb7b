"""Bundles: what ships is whole, and what is damaged or mixed up is refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from shared.bundle import (
    Bundle,
    Manifest,
    MatcherManifest,
    half,
    identity,
    read_manifest,
    save_bundle,
    shipped_bundle,
)
from shared.codecs.loading import load_bundle
from shared.errors import BundleError
from shared.latents.hyperprior import HyperpriorSize
from tests.codecs import whole
from tests.conftest import GOLDEN

MEGABYTE = 2**20


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / "bundle", tmp_path / "bundle"))


def test_shipped_bundles_are_whole_and_small() -> None:
    folders = [path.parent for path in shipped_bundle("").glob("*/bundle.json")]
    assert {folder.name for folder in folders} >= {
        "base",
        "base-1",
        "ssa",
        "none",
        "judge",
        "features",
    }
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in folders]
    assert max(sizes) <= 16 * MEGABYTE
    assert sum(sizes) <= 96 * MEGABYTE
    stream = load_bundle(shipped_bundle("base")).manifest
    assert isinstance(stream, Manifest)
    assert stream.codec == "base"
    for name in ("ssa", "none"):
        generator = load_bundle(shipped_bundle(name)).manifest
        assert isinstance(generator, Manifest)
        assert generator.codec == name
        assert generator.model_id == stream.model_id
        assert generator.provenance.steps["adversarial"] >= 1000
    for name in ("judge", "features"):
        manifest = read_manifest(shipped_bundle(name))
        assert isinstance(manifest, MatcherManifest)
        assert manifest.codec == name


def test_the_shipped_model_says_where_it_came_from() -> None:
    provenance = load_bundle(shipped_bundle("base")).manifest.provenance
    assert provenance.steps["float"] > 1000
    assert len(provenance.config_digest) == len(provenance.data_digest) == 16
    rates = [row.bpp for row in provenance.kodak]
    assert rates == sorted(rates)
    assert rates[0] < 0.004
    assert rates[-1] > 0.6


def test_the_integer_branch_costs_at_most_half_a_percent() -> None:
    """Its cost against the float branch it was made from: real payloads, Kodak, mean over the levels."""
    costs = load_bundle(shipped_bundle("base")).manifest.provenance.integer_cost_percent
    assert len(costs) == 22
    assert sum(costs) / len(costs) <= 0.5


def test_a_damaged_file_is_refused(copied: Path) -> None:
    path = copied / "tensors.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="does not match its hash"):
        load_bundle(copied)


def test_a_changed_id_or_size_is_refused(copied: Path) -> None:
    path = copied / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["size"]["fine_blocks"] += 1
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="model id does not match"):
        load_bundle(copied)
    path.write_text("{}")
    with pytest.raises(BundleError, match="is damaged"):
        load_bundle(copied)
    path.unlink()
    with pytest.raises(BundleError, match="cannot read the model bundle"):
        load_bundle(copied)


def test_weights_of_another_shape_are_refused(copied: Path) -> None:
    bundle = load_bundle(copied)
    wrong = dict(bundle.tensors)
    del wrong["g_s.gain.log_gain"]
    with pytest.raises(BundleError, match="g_s"):
        whole(Bundle(bundle.manifest, wrong))


def test_the_model_id_covers_what_symbols_mean_and_nothing_else(copied: Path) -> None:
    bundle = load_bundle(copied)
    assert isinstance(bundle.manifest, Manifest)
    size = HyperpriorSize.model_validate(bundle.manifest.size)
    for name, tensor in bundle.tensors.items():
        changed = dict(bundle.tensors)
        changed[name] = tensor + 1
        found = identity("base", size, changed, ("h_mu", "scale", "tables"))
        same = found == bundle.manifest.model_id
        assert same == name.startswith(("g_a.", "g_s.", "h_a."))


def test_saving_round_trips(tmp_path: Path, copied: Path) -> None:
    bundle = load_bundle(copied)
    assert isinstance(bundle.manifest, Manifest)
    manifest = save_bundle(
        tmp_path / "again",
        bundle.manifest,
        bundle.tensors,
        exact={name.partition(".")[0] for name in bundle.tensors},
    )
    assert manifest == bundle.manifest
    assert load_bundle(tmp_path / "again").tensors.keys() == bundle.tensors.keys()


def test_halving_touches_large_float_weights_only() -> None:
    assert half(torch.zeros(2, 2, 3, 3)).dtype == torch.float16
    assert half(torch.zeros(8, 4)).dtype == torch.float32
    assert half(torch.zeros(2, 2, 3, 3, dtype=torch.int8)).dtype == torch.int8
