"""What all tests share: pictures that ship, bundles to decode with, and how properties are tried out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cluster.feeds import KODAK_FEED, NEWSWIRE_FEED
from shared.bundle import shipped_bundle
from shared.feed import read_feed
from shared.pictures import Picture, picture_from_bytes
from tests.codecs import Whole, whole

GOLDEN = Path(__file__).parent / "golden"

# How long an example takes says how busy the machine is, not whether the property holds.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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
