"""``tgic``: words by attention and on request, at both ends of ``base``'s stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from cluster.reproduce.tgic import STEPS, TGIC_IRC, TGIC_LOSSES
from cluster.reproduce.variants import Variant, configured
from cluster.trials.processes import Program, receiver
from shared.bundle import MatcherManifest, Provenance, read_bundle, shipped_bundle
from shared.codecs import ToldEncoder, encode, get_codec, load_decoder
from shared.codecs.loading import load_codec
from shared.codecs.parts import Parts
from shared.errors import BundleError, CorruptStreamError
from shared.latents.hyperprior import Hyperprior, HyperpriorSize
from shared.latents.spoken import SpokenHyperprior
from shared.matcher_bundle import fresh_matcher, load_any_matcher, load_matcher, save_matcher
from shared.networks.irc import ImageRequestComplement
from shared.networks.ita import SCALES, ImageTextAttention
from shared.networks.patches import PatchMatcher, PatchSize
from shared.networks.stages import Conditioner, Conditioning
from shared.networks.tgic import TgicAnalysis, TgicSize, TgicSynthesis
from shared.pictures import Picture, read_picture
from shared.systems import tgic
from shared.systems.catalogue import TextPlacement, system
from tests.data_sets import write_pictures
from tests.picture_files import png
from tests.test_paper_size import recipe
from tests.test_told_encoders import LEVEL, WIDTH, features, said, spoken_up
from tests.test_told_paper_size import OWN, told_examples
from training.command import read_settings
from training.drive import CHECKPOINT
from training.export import export
from training.fresh import fresh_parts
from training.integers import Integers
from training.rate_distortion_run import RateDistortionRun
from training.recipe import Places
from training.recipes.rate_distortion import RateDistortion
from training.tables import fit_tables

CONFIGS = Path("training/configs")
CHANNELS, BRANCH = 16, 4
BLOCKS = (ImageTextAttention, ImageRequestComplement)
#: The paper's figure, a few channels wide.
SMALL = {
    "branch": 4,
    "text_width": 6,
    "token_width": 16,
    "own": OWN,
    "said": 2,
    "transforms": {"base": 4, "latent": 16, "blocks": 1},
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def made(block: type[Conditioner]) -> Any:
    torch.manual_seed(0)
    return block(CHANNELS, WIDTH, BRANCH)


# -- the blocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_begins_as_what_changes_nothing(block: type[Conditioner]) -> None:
    y = features()
    for given in (said(), said().silence):
        assert torch.equal(made(block).masked(y, given)[0], y)


@pytest.mark.parametrize("block", BLOCKS)
def test_padding_is_never_heard_and_silence_is_always_the_same(block: type[Conditioner]) -> None:
    one, y = spoken_up(made(block)), features()
    heard, _ = one.masked(y, said())
    assert not torch.allclose(heard, y)
    assert torch.allclose(one.masked(y, said(padding=9.0))[0], heard, atol=1e-6)
    silent, _ = one.masked(y, said().silence)
    assert torch.equal(one.masked(y, said(tokens=1, padding=5.0).silence)[0], silent)
    assert not torch.allclose(silent, heard)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_part_of_a_block_learns(block: type[Conditioner]) -> None:
    one = spoken_up(made(block))
    one.masked(features(), said())[0].square().mean().backward()
    for name, parameter in one.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


@pytest.mark.parametrize("block", BLOCKS)
def test_a_place_depends_on_no_other_beyond_the_reach(block: type[Conditioner]) -> None:
    one = spoken_up(made(block))
    y = torch.randn(1, CHANNELS, 11, 11, generator=torch.Generator().manual_seed(5))
    y.requires_grad_()
    given = Conditioning(
        torch.zeros(1, WIDTH), None, torch.randn(1, 3, WIDTH), torch.ones(1, 3) > 0
    )
    one.masked(y, given)[0][0, :, 5, 5].sum().backward()
    assert y.grad is not None
    touched = y.grad.abs().sum((0, 1)) > 0
    inside = torch.zeros_like(touched)
    inside[5 - one.reach : 6 + one.reach, 5 - one.reach : 6 + one.reach] = True
    assert not bool((touched & ~inside).any())
    assert bool(touched[5 - one.reach, 5])


def test_a_request_is_a_share_and_asks_nothing_where_nothing_was_said() -> None:
    one, y = spoken_up(made(ImageRequestComplement)), features()
    _, mask = one.masked(y, said())
    assert mask.shape == (2, 1, 5, 7)
    assert 0 < mask.min().item() < mask.max().item() < 1
    assert one.masked(y, said().silence)[1].abs().max().item() < 1e-6


# -- the system -----------------------------------------------------------------------------------


def parts_and_words() -> tuple[Parts, Conditioning]:
    parts = fresh_parts("tgic", {})
    generator = torch.Generator().manual_seed(4)
    words = torch.randn(1, 4, 384, generator=generator)
    return parts, Conditioning(torch.zeros(1, 384), None, words, torch.ones(1, 4) > 0)


def test_both_ends_begin_as_their_stream_and_each_hears_words(kodak: dict[str, Picture]) -> None:
    (parts, given), base = parts_and_words(), fresh_parts("selic-none", {})
    x = torch.from_numpy(kodak["kodim03"][:64, :64].copy()).permute(2, 0, 1)[None] / 255
    level = torch.tensor([LEVEL])
    with torch.no_grad():
        y, own = base.analyse(x, level, None), parts.analyse(x, level, given)
        assert torch.allclose(y, own, atol=1e-5)
        painted = [p.synthesise(y, level, g, (64, 64)) for p, g in ((base, None), (parts, given))]
        assert torch.allclose(*painted, atol=1e-5)
        for transform in (parts.g_a, parts.g_s):
            kinds = {type(one) for one in transform.at.values()}
            assert kinds == set(BLOCKS)
            for one in transform.at.values():
                assert isinstance(one, Conditioner)
                spoken_up(one)
        assert not torch.allclose(y, parts.analyse(x, level, given), atol=1e-2)
        told = parts.synthesise(y, level, given, (64, 64))
        assert not torch.allclose(told, painted[0], atol=1e-2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, kodak: dict[str, Picture]) -> Path:
    """A bundle of two steps, one of each phase, with all of the loss."""
    folder = tmp_path_factory.mktemp("tgic")
    (folder / "data").mkdir()
    crops = {name: picture[:64, :64] for name, picture in list(kodak.items())[:4]}
    write_pictures(folder / "data" / "pictures.parquet", crops)
    settings = read_settings(CONFIGS / "tgic.yaml") | {
        "train": ["*.parquet"],
        "validation": "pictures.parquet",
        "held_out": 0,
        "batch": 1,
        "copy_batch": 1,
        "steps": 1,
        "adversarial_steps": 1,
        "warmup_steps": 0,
    }
    settings.pop("kind")
    places = Places(folder / "data", folder / "run", folder / "bundle", workers=1)
    RateDistortion.model_validate(settings).carry_out(places)
    return folder / "bundle"


def test_a_run_makes_a_codec_told_at_both_ends_whose_streams_base_decodes(
    trained: Path, kodak: dict[str, Picture]
) -> None:
    codec, base = load_codec("tgic", trained), get_codec("base")
    assert codec.text is TextPlacement.BOTH
    assert isinstance(codec.encoder, ToldEncoder)
    picture, words = kodak["kodim03"][:128, :192], "Three bright hats hang on a blue wall."
    blob = codec.encoder.encode_told(picture, LEVEL, words).blob
    decoder = load_decoder("tgic", trained)
    assert decoder.reads_text
    found = [decoder.decode(blob, text) for text in (words, None)]
    theirs = base.decode(blob)
    # A caption that is lost loses no picture, and words decide no symbol.
    assert {one.symbols_crc32c for one in found} == {theirs.symbols_crc32c}
    assert not np.array_equal(found[0].picture, found[1].picture)
    assert not np.array_equal(found[1].picture, theirs.picture)


def test_what_a_run_begins_as_keeps_its_share(trained: Path) -> None:
    share = read_settings(CONFIGS / "tgic.yaml")["start_share"]
    state = torch.load(trained.parent / "run" / CHECKPOINT, weights_only=True)
    learnt = state["models"]["average"]
    began, made = (read_bundle(one).tensors for one in (shipped_bundle("tgic"), trained))
    assert any(not torch.equal(learnt[name].half(), began[name].half()) for name in made)
    for name, weights in made.items():
        expected = torch.lerp(learnt[name], began[name].float(), share)
        torch.testing.assert_close(weights.float(), expected, rtol=1e-3, atol=1e-5)


def test_words_reach_both_ends_over_real_sockets(tmp_path: Path, kodak: dict[str, Picture]) -> None:
    """The sender's words are its feed's, the decoder's those of the captions' channel."""
    words, picture = "Three bright hats hang on a blue wall.", kodak["kodim03"][:128, :192]
    rows = [
        {"id": name, "image": png(picture), "captions": captions}
        for name, captions in (("spoken", [words]), ("silent", []))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "feed.parquet")
    sink = tmp_path / "sink"
    decoding = ("--generator", "tgic", "--set", "decoder_processes=1")
    with receiver(tmp_path / "state", "--sink", sink, *decoding, "--caption-wait", 60) as running:
        sender = Program(
            *("send", "--feed", tmp_path / "feed.parquet", "--codec", "tgic", "--json"),
            *("--quality", LEVEL, "--processes", 1, "--state", tmp_path / "journal"),
            *("--images", running.images, "--captions", running.captions),
        )
        sent = sender.line()
    assert (sent["decoded_with_text"], sent["decoded_no_text"]) == (1, 1)
    codec = get_codec("tgic")
    for name, text in (("spoken", words), ("silent", None)):
        (shown,) = sink.rglob(f"*{name}*.png")
        blob = encode(codec.encoder, picture, LEVEL, text).blob
        off = read_picture(shown).astype(int) - codec.decode(blob, text).picture
        # Threads and batches round otherwise.
        assert np.abs(off).max() <= 2, name


def test_its_twin_is_the_same_recipe_told_nothing() -> None:
    own, twin = (read_settings(CONFIGS / f"{name}.yaml") for name in ("tgic", "tgic-none"))
    assert (own.pop("start"), twin.pop("start")) == ("tgic", "tgic-none")
    assert twin == own | {"name": "tgic-none", "system": "tgic-none", "told": "nowhere"}
    rows = system("tgic"), system("tgic-none")
    assert rows[0].twin == rows[1].name
    assert [row.text for row in rows] == [TextPlacement.BOTH, TextPlacement.NOWHERE]
    assert {(row.stream, row.container_id) for row in rows} == {("base", 1)}


@pytest.mark.parametrize("variant", [*TGIC_IRC, *TGIC_LOSSES[1:-1]], ids=lambda one: one.name)
def test_what_its_evidence_trains_is_a_recipe_of_as_many_steps(variant: Variant) -> None:
    found = configured(variant)
    assert isinstance(found, RateDistortion)
    assert found.steps + found.adversarial_steps == STEPS
    assert tgic.Size.model_validate(found.size).irc == (variant.name != "tgic-no-irc")


# -- at the paper's size --------------------------------------------------------------------------


def conv(kernel: int, before: int, after: int) -> int:
    return kernel**2 * before * after + after


def test_the_papers_size_has_the_parameters_that_its_figure_says() -> None:
    with torch.device("meta"):
        parts = tgic.parts(tgic.PAPER)
    widths = [64, 128, 256, 512]

    def ita(channels: int, branch: int = 64, words: int = 300) -> int:
        k = SCALES * branch
        views = sum(conv(size, channels, branch) for size in (1, 3, 5))
        return views + conv(1, words, k) + k + conv(1, 2 * k, channels)

    def irc(channels: int) -> int:
        return ita(channels) + conv(3, channels, 3 * 64)

    modules = sum(3 * 2 * conv(3, width, width) for width in widths)
    down = sum(conv(3, a, b) for a, b in zip([3, *widths], widths, strict=False))
    assert count(parts.g_a) == down + modules + conv(3, 512, 220) + ita(128) + irc(256)
    up = sum(conv(3, b, a) for a, b in zip([3, *widths], widths, strict=False))
    assert count(parts.g_s) == conv(3, 220, 512) + up + modules + ita(256) + irc(128)
    assert count(parts) == 51_012_003
    assert {name: type(one) for name, one in parts.g_a.at.items()} == dict(
        zip(("quarter", "eighth"), BLOCKS, strict=True)
    )


def test_a_step_at_the_papers_size() -> None:
    """Gradients reach what reads the words at both ends."""
    torch.manual_seed(1)
    parts = tgic.parts(tgic.PAPER)
    assert isinstance(parts.latent, Hyperprior)
    Integers(parts.latent, torch.device("cpu"))
    given = Conditioning(torch.zeros(1, 300), None, torch.randn(1, 5, 300), torch.ones(1, 5) > 0)
    out = parts(torch.rand(1, 3, 64, 64), torch.zeros(1, dtype=torch.int64), given, given)
    assert out.x_hat.shape == (1, 3, 64, 64)
    (out.bits.sum() + out.x_hat.square().mean()).backward()
    for transform in (parts.g_a, parts.g_s):
        for conditioner in transform.at.values():
            found = [p.grad for p in conditioner.parameters() if p.grad is not None]
            assert any(float(gradient.abs().max()) > 0 for gradient in found)


def test_steps_of_every_phase_and_real_streams_at_the_papers_figure(
    tmp_path: Path, kodak: dict[str, Picture]
) -> None:
    settings = recipe(SMALL).model_dump() | {
        "system": "tgic",
        "told": "both",
        "adversarial_steps": 1,
        "quantised_steps": 1,
        "discriminator": "resnet50",
    }
    run = RateDistortionRun(RateDistortion.model_validate(settings), told_examples(16))
    assert all(np.isfinite(run.train_step()) for _ in range(run.steps))
    export(run, tmp_path / "bundle", tmp_path / "none")
    codec = load_codec("tgic", tmp_path / "bundle")
    picture = kodak["kodim03"][:100, :150]
    assert codec.decode(codec.encode(picture, 0).blob).picture.shape == picture.shape


def test_a_stream_says_a_few_integers_of_the_caption_once_and_needs_no_words_to_be_read() -> None:
    torch.manual_seed(2)
    latent = SpokenHyperprior(HyperpriorSize.model_validate(OWN), 2, WIDTH)
    integers = Integers(latent, torch.device("cpu"))
    generator = torch.Generator().manual_seed(3)
    y = 4 * torch.randn(2, 16, 8, 12, generator=generator)
    text = 20 * torch.randn(2, WIDTH, generator=generator)
    level = torch.zeros(2, dtype=torch.int64)
    latent.train()
    coded = latent(y, level, text)
    coded.bits.sum().backward()
    assert latent.voice.weight.grad is not None
    assert float(latent.voice.weight.grad.abs().max()) > 0
    # Frozen as a bundle's: from here on it codes.
    integers.scale.begin_quantised()
    tables = fit_tables(latent, [(y, level, text), (y, level, None)])
    sections = {
        "h_a": latent.h_a.state_dict(),
        "voice": latent.voice.state_dict(),
        "h_mu": latent.h_mu.state_dict(),
        "scale": integers.scale.export(),
        "tables": tables.to_tensors(),
    }
    assert latent.sections == tuple(sections)
    with torch.no_grad():
        sender, receiver = (SpokenHyperprior(latent.size, 2, WIDTH) for _ in range(2))
        sender.freeze(sections)
        receiver.freeze(
            {name: one for name, one in sections.items() if name in latent.decoder_sections}
        )
        for one in (sender, receiver):
            one.ready(torch.device("cpu"), torch.float32)
        spoken, silent = (sender.analyse(y[:1], 0, text=said) for said in (text[:1], None))
        assert np.array_equal(spoken.z[:-2], silent.z[:-2])
        assert spoken.z[-2:].any()
        assert not silent.z[-2:].any()
        assert (spoken.z[-2:] == spoken.z[-2:, :1, :1]).all()
        for symbols in (spoken, silent):
            payload = sender.compress(symbols, 0)
            read = receiver.decompress(payload, 0, 2, 3).symbols
            assert all(np.array_equal(a, b) for a, b in zip(read.coded, symbols.coded, strict=True))
        with pytest.raises(CorruptStreamError, match="a picture of this size takes over"):
            receiver.decompress(payload, 0, 4000, 4000)


@pytest.mark.parametrize("said", [0, 8])
def test_a_vector_that_leaves_no_channel_is_refused(said: int) -> None:
    with pytest.raises(ValueError, match=f"said is {said}, must be at least 1 and less than"):
        SpokenHyperprior(HyperpriorSize.model_validate(OWN), said, WIDTH)


@pytest.mark.parametrize("end", ["analysis", "synthesis"])
def test_the_halo_covers_all_that_a_latent_sees(end: str) -> None:
    size = TgicSize(base=2, latent=2, blocks=1)
    torch.manual_seed(0)
    network = TgicAnalysis(size) if end == "analysis" else TgicSynthesis(size)
    side = 2 * network.halo + 5
    centre = side // 2
    quality = torch.zeros(1, dtype=torch.int64)
    scale = 16 if end == "analysis" else 1
    x = torch.randn(
        1, 3 if end == "analysis" else 2, side * scale, side * scale, requires_grad=True
    )
    place = 1 if end == "analysis" else 16
    out = network(x, quality)
    out[
        ..., centre * place : (centre + 1) * place, centre * place : (centre + 1) * place
    ].sum().backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten() // scale
    assert centre - network.halo <= int(rows.min())
    assert int(rows.max()) <= centre + network.halo


# -- the loss -------------------------------------------------------------------------------------


def test_a_transformer_places_pictures_in_sentence_space(tmp_path: Path) -> None:
    size = PatchSize(width=16, dim=12, side=32)
    torch.manual_seed(0)
    model = fresh_matcher(size).eval()
    assert isinstance(model, PatchMatcher)
    assert (len(model.blocks), size.patch, size.heads) == (3, 4, 4)
    x = torch.rand(2, 3, 61, 35, requires_grad=True)
    vectors = model(x)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2))
    provenance = Provenance(config="x", config_digest="", data_digest="", seed=0, steps={}, hours=0)
    save_matcher(
        tmp_path, MatcherManifest(codec="f", size=size, provenance=provenance), model.state_dict()
    )
    loaded, manifest = load_any_matcher(tmp_path)
    assert manifest.size == size
    found = loaded(x)
    assert (found * vectors).sum(1).min().item() > 0.999
    found[0, 0].backward()
    assert x.grad is not None
    assert float(x.grad[0].abs().max()) > 0
    with pytest.raises(BundleError, match="without feature maps"):
        load_matcher(tmp_path)


def test_patches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="width 18 is no multiple of heads 4"):
        PatchSize(width=18)
