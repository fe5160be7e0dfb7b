"""Systems whose encoder hears the caption, on a stream that any receiver of ``base`` decodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shared.bundle import Manifest, shipped_bundle
from shared.codecs import Encoder, ToldEncoder, get_codec, load_encoder
from shared.codecs.loading import load_bundle, load_codec
from shared.codecs.parts import Parts
from shared.errors import ModelMismatchError
from shared.networks.adapter import Exchange, Injector
from shared.networks.fusion import Fusion, LatentFusion
from shared.networks.stages import Conditioner, Conditioning
from shared.pictures import Picture
from shared.systems.catalogue import system
from tests.data_sets import write_pictures
from tests.tiny_runs import config
from training.command import read_recipe, read_settings
from training.fresh import fresh_parts
from training.recipe import Places

CONFIGS = Path("training/configs")
#: Whose encoder alone hears it, and all of them.
ENCODERS, TOLD = ("selic", "taco"), ("selic", "taco", "tgic")
CHANNELS, WIDTH = 16, 24
#: A level of about 0.036 bpp.
LEVEL = 11

CONDITIONERS = [
    *(LatentFusion(CHANNELS, WIDTH, 8, fusion) for fusion in Fusion),
    Injector(CHANNELS, WIDTH),
    Exchange(CHANNELS, WIDTH),
]


def said(tokens: int = 3, padding: float = 0.0) -> Conditioning:
    """Words of two pictures, and two places of padding behind them."""
    generator = torch.Generator().manual_seed(1)
    words = torch.randn(2, tokens + 2, WIDTH, generator=generator)
    mask = torch.arange(tokens + 2).expand(2, -1) < tokens
    words = torch.where(mask[..., None], words, padding)
    return Conditioning(torch.randn(2, WIDTH, generator=generator), None, words, mask)


def features() -> torch.Tensor:
    return torch.randn(2, CHANNELS, 5, 7, generator=torch.Generator().manual_seed(2))


def spoken_up(conditioner: Conditioner) -> Conditioner:
    """One whose words count: every parameter that begins at zero is moved."""
    torch.manual_seed(3)
    for parameter in conditioner.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
    return conditioner


@pytest.mark.parametrize("conditioner", CONDITIONERS, ids=lambda one: type(one).__name__)
def test_a_fusion_or_adapter_begins_as_what_changes_nothing(conditioner: Conditioner) -> None:
    y = features()
    found, mask = conditioner.masked(y, said())
    assert mask is None
    assert torch.equal(found, y)


@pytest.mark.parametrize("make", [Injector, Exchange])
def test_padding_is_never_heard_and_silence_is_always_the_same(make: type[Conditioner]) -> None:
    adapter = spoken_up(make(CHANNELS, WIDTH))
    y = features()
    heard, _ = adapter.masked(y, said())
    assert not torch.allclose(heard, y)
    assert torch.equal(adapter.masked(y, said(padding=9.0))[0], heard)
    silent, _ = adapter.masked(y, said().silence)
    assert torch.equal(adapter.masked(y, said(tokens=1, padding=5.0).silence)[0], silent)
    assert not torch.allclose(silent, heard)


@pytest.mark.parametrize("fusion", list(Fusion))
def test_each_fusion_learns_from_words(fusion: Fusion) -> None:
    block = LatentFusion(CHANNELS, WIDTH, 8, fusion)
    found, _ = spoken_up(block).masked(features(), said())
    found.square().mean().backward()  # type: ignore[no-untyped-call]
    assert block.inner.weight.grad is not None
    assert float(block.inner.weight.grad.abs().max()) > 0


@pytest.mark.parametrize("name", TOLD)
def test_it_begins_as_the_encoder_of_its_stream(name: str, kodak: dict[str, Picture]) -> None:
    parts, base = fresh_parts(name, {}), fresh_parts(f"{name}-none", {})
    x = torch.from_numpy(kodak["kodim03"][:128, :128].copy()).permute(2, 0, 1)[None] / 255
    given = Conditioning(
        torch.randn(1, 384), None, torch.randn(1, 4, 384), torch.ones(1, 4, dtype=torch.bool)
    )
    level = torch.tensor([LEVEL])
    with torch.no_grad():
        told, silent = (p.analyse(x, level, g) for p, g in ((parts, given), (base, None)))
    assert torch.allclose(told, silent, atol=1e-5)


@pytest.mark.parametrize("name", TOLD)
def test_a_run_goes_on_from_what_ships(name: str) -> None:
    parts, shipped = fresh_parts(name, {}, name), load_encoder(name).g_a
    found = parts.g_a.state_dict()
    assert found.keys() == shipped.state_dict().keys()
    for key, tensor in shipped.state_dict().items():
        assert torch.allclose(found[key], tensor.float(), atol=1e-2, rtol=1e-2), key
    assert any(parameter.any() for parameter in parts.g_a.at.parameters())


@pytest.mark.parametrize("name", ENCODERS)
def test_words_change_the_bits_and_any_receiver_of_base_decodes_them(
    name: str, kodak: dict[str, Picture]
) -> None:
    picture, base = kodak["kodim03"], get_codec("base")
    encoder = load_encoder(name)
    assert isinstance(encoder, ToldEncoder)
    # selic's words move so little that it takes many symbols to see one of them move.
    level, words = 17, "Three bright hats hang on a blue wall."
    told, silent = (encoder.encode_told(picture, level, text).blob for text in (words, None))
    assert told != silent
    for blob in (told, silent):
        own, theirs = get_codec(name).decode(blob), base.decode(blob)
        assert own.symbols_crc32c == theirs.symbols_crc32c
        assert np.array_equal(own.picture, theirs.picture)
    assert not get_codec(name).decoder.reads_text


@pytest.mark.parametrize("name", TOLD)
def test_its_twin_is_the_same_recipe_and_size_told_nothing(name: str) -> None:
    twin = system(name).twin
    own, other = (read_settings(CONFIGS / f"{one}.yaml") for one in (name, twin))
    assert (own.pop("start", name), other.pop("start", twin)) == (name, twin)
    assert other == own | {"name": twin, "system": twin, "told": "nowhere"}
    assert isinstance(load_encoder(twin), Encoder)
    shapes = [
        {key: value.shape for key, value in load_bundle(shipped_bundle(one)).tensors.items()}
        for one in (name, twin)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", TOLD)
def test_what_ships_stands_on_the_stream_of_base(name: str) -> None:
    own, base = (load_bundle(shipped_bundle(one)).manifest for one in (name, "base"))
    assert isinstance(own, Manifest)
    assert isinstance(base, Manifest)
    assert own.model_id == base.model_id
    assert own.text is system(name).text
    assert system(name).container_id == system("base").container_id


@pytest.fixture
def pictures(tmp_path: Path, kodak: dict[str, Picture]) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    crops = {name: picture[:64, :64] for name, picture in list(kodak.items())[:4]}
    write_pictures(data / "pictures.parquet", crops)
    return data


def test_shares_are_of_the_squared_error_where_a_run_begins(pictures: Path, tmp_path: Path) -> None:
    """A term with share one is as large as the squared error of the stream's own pictures."""
    settings = read_recipe(CONFIGS / "taco.yaml").model_dump() | {
        "train": ["*.parquet"],
        "validation": "pictures.parquet",
        "held_out": 0,
        "steps": 1,
    }
    runs = [config(**settings | {"shares": shares}) for shares in ({}, {"features": 1.0})]
    places = Places(pictures, tmp_path / "run", tmp_path / "bundle", workers=1)
    losses = []
    for recipe in runs:
        run = recipe.begin(recipe.load(places))
        losses.append(run.train_step())
    assert losses[1] > 1.05 * losses[0]
    assert losses[1] < 3 * losses[0]


def test_the_joint_recipe_has_a_stream_of_its_own_begun_as_base(
    pictures: Path, tmp_path: Path, kodak: dict[str, Picture]
) -> None:
    settings = read_recipe(CONFIGS / "selic-joint.yaml").model_dump() | {
        "train": ["*.parquet"],
        "validation": "pictures.parquet",
        "held_out": 0,
        "steps": 1,
        "warmup_steps": 0,
    }
    places = Places(pictures, tmp_path / "run", tmp_path / "bundle", workers=1)
    config(**settings).carry_out(places)
    own = load_codec("selic", tmp_path / "bundle")
    base = get_codec("base")
    picture = kodak["kodim03"][:128, :192]
    blob = own.encode(picture, LEVEL).blob
    assert own.decode(blob).picture.shape == picture.shape
    with pytest.raises(ModelMismatchError):
        base.decode(blob)
    # One step moves little: what it begins as is base's.
    ratio = len(blob) / len(base.encode(picture, LEVEL).blob)
    assert 0.8 < ratio < 1.25


def test_a_stream_to_begin_as_brings_all_numbers() -> None:
    size = read_recipe(CONFIGS / "selic-joint.yaml").size  # type: ignore[attr-defined]
    parts, base = fresh_parts("selic", size, "base"), fresh_parts("selic-none", {})
    assert isinstance(parts, Parts)
    assert not parts.stream
    for name in ("h_a", "h_mu", "context"):
        states = [getattr(one.latent, name).state_dict() for one in (parts, base)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
