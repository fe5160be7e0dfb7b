"""What all tests share: pictures that ship, bundles to decode with, and how properties are tried out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cluster.feeds import KODAK_FEED, NEWSWIRE_FEED
from shared.bundle import load_bundle
from shared.codecs.base import HyperpriorCodec, shipped_bundle
from shared.feed import read_feed
from shared.networks.precision import Precision
from shared.pictures import Picture, picture_from_bytes

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
def golden_codec() -> HyperpriorCodec:
    """The small frozen test model, in float32."""
    return HyperpriorCodec(load_bundle(GOLDEN / "bundle"), precision=Precision.FLOAT32)


@pytest.fixture(scope="session")
def base_codec() -> HyperpriorCodec:
    """The shipped model, in float32 (the machine's faster precision is tested against it)."""
    return HyperpriorCodec(load_bundle(shipped_bundle("base")), precision=Precision.FLOAT32)
