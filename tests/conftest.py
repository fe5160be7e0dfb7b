"""What all tests share: pictures that ship, bundles to decode with, and how properties are tried out."""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from cluster.feeds import KODAK_FEED, NEWSWIRE_FEED
from shared.bundle import shipped_bundle
from shared.feed import read_feed
from shared.pictures import Picture, picture_from_bytes
from tests.codecs import Whole, whole
from tests.data_sets import write_pictures
from training.data import PictureStore

GOLDEN = Path(__file__).parent / "golden"

# Tests run beside one another, and many have processes of their own: threads that share an operation would
# wait for one of them that has no core, and spin meanwhile. What their number may change is tested by name.
# Processes that set more threads themselves do not spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

#: Files that take longest. A file has one worker: had it the last of these to do, the others would be idle.
#: Those that mostly wait stand beside those that compute.
LONGEST = (
    "test_several_hosts", "test_ray_pool", "test_base", "test_crashes", "test_add_a_system", "test_ray_ends",
    "test_told_senders",
    "test_object_sinks", "test_demo", "test_project", "test_ray_train", "test_page", "test_bench_remote",
    "test_rate_distortion", "test_decoders", "test_encoders", "test_cli", "test_exactness", "test_reproduce",
    "test_ssa", "test_evaluation", "test_paper_size", "test_installs", "test_compare",
)  # fmt: skip

# How long an example takes says how busy the machine is, not whether the property holds.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those files first, then those of most tests."""
    tests = Counter(item.path for item in items)
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (place.get(item.path.stem, len(place)), -tests[item.path]))


def pytest_collection_finish() -> None:
    """Have nobody look for garbage among what was imported, which stays: it took a tenth of the time."""
    gc.freeze()


@pytest.fixture(scope="session")
def kodak() -> dict[str, Picture]:
    """The Kodak pictures that ship, by id."""
    return {row.id: picture_from_bytes(row.image) for row in read_feed(KODAK_FEED)}


@pytest.fixture(scope="session")
def newswire() -> dict[str, Picture]:
    """The news photographs that ship, by id."""
    return {row.id: picture_from_bytes(row.image) for row in read_feed(NEWSWIRE_FEED)}


@pytest.fixture(scope="session")
def golden_codec() -> Whole:
    """The small frozen test model, in float32."""
    return whole(GOLDEN / "bundle")


@pytest.fixture(scope="session")
def base_codec() -> Whole:
    """The shipped model, in float32 (the machine's faster precision is tested against it)."""
    return whole(shipped_bundle("base"))


@pytest.fixture(scope="session")
def training_data(tmp_path_factory: pytest.TempPathFactory, kodak: dict[str, Picture]) -> Path:
    """A small data folder of crops of the shipped pictures."""
    folder = tmp_path_factory.mktemp("data")
    corners = {name: picture[:256, :256] for name, picture in kodak.items()}
    write_pictures(folder / "pictures.parquet", corners)
    return folder


@pytest.fixture(scope="session")
def store(training_data: Path) -> PictureStore:
    """The pictures of that folder."""
    return PictureStore.load(training_data, ["*.parquet"], smallest=64, workers=1)
