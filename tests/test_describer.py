"""Describers: what they learn, what a bundle keeps, and what the shipped one says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.bundle import DescriberManifest, Provenance, read_manifest, shipped_bundle
from shared.captioner import Captioner, CaptionerError
from shared.describer_bundle import DESCRIBER, load_describer, save_describer
from shared.errors import BundleError
from shared.feed import read_feed
from shared.matcher_bundle import load_matcher
from shared.networks.describer import BEGIN, END, DescriberNetwork, DescriberSize, seen_by
from shared.pictures import Picture, picture_from_bytes
from shared.telling.describer import CaptionedDescriber, SmallDescriber
from shared.telling.speaking import sentence_of, speak
from shared.telling.telling import Item
from training.command import read_recipe
from training.described import Captioned, Described, vocabulary_of
from training.describing import Describing, DescribingSettings
from training.recipes.describer import DescriberRecipe
from training.said import nats_a_word

ROOT = Path(__file__).parents[1]
TINY = DescriberSize(words=9, longest=8, width=16, layers=1, heads=2, inner=16)
#: Captions of pictures that are one colour each.
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (20, 40, 220)}


@pytest.fixture(scope="module")
def kodak() -> list[Picture]:
    rows = read_feed(ROOT / "cluster" / "feeds" / "kodak8.parquet")
    return [picture_from_bytes(row.image) for row in rows]


@pytest.fixture(scope="module")
def small() -> SmallDescriber:
    return SmallDescriber()


def described() -> tuple[Described, list[str]]:
    """Plain pictures and what is said of them, as a run sees them."""
    matcher, _ = load_matcher(shipped_bundle("features"))
    captions = [[f"A {name} wall."] * 5 for name in COLOURS]
    pixels = torch.tensor([*COLOURS.values()], dtype=torch.uint8)
    squares = pixels[:, :, None, None].expand(-1, -1, 112, 112).contiguous()
    vocabulary = vocabulary_of([own[0] for own in captions], 1)
    captioned = Captioned(squares, captions, "")
    return Described.of(captioned, matcher, vocabulary, TINY.longest), vocabulary


def manifest(size: DescriberSize) -> DescriberManifest:
    figures = Provenance(config="tiny", config_digest="", data_digest="", seed=0, steps={}, hours=0)
    return DescriberManifest(codec="tiny", size=size, matcher="0" * 64, provenance=figures)


def test_it_learns_to_say_what_is_seen(tmp_path: Path) -> None:
    data, vocabulary = described()
    assert vocabulary == [".", "a", "wall", "blue", "green", "red"]
    assert data.words[0, 0].tolist() == [BEGIN, 4, 8, 5, 3, END, BEGIN, BEGIN, BEGIN]
    settings = DescribingSettings(
        seed=2, steps=60, batch=3, learning_rate=1e-2, warmup_steps=5, smoothing=0
    )
    run, again = (Describing(settings, TINY, data) for _ in range(2))
    losses = [run.train_step() for _ in range(60)]
    assert [again.train_step() for _ in range(2)] == losses[:2]
    assert losses[-1] < 0.1 * losses[0]
    assert nats_a_word(run.model, data) < 0.5

    save_describer(tmp_path, manifest(TINY), run.model.state_dict(), vocabulary, ["wall"])
    parts = load_describer(tmp_path)
    assert parts.nouns == {"wall"}
    for index, name in enumerate(COLOURS):
        seen = data.places[index, None].float(), data.sentences[index, None].float()
        assert sentence_of(speak(parts.network, seen), parts.vocabulary) == f"A {name} wall."


def test_speaking_ends_whatever_the_network_wants() -> None:
    torch.manual_seed(1)
    network = DescriberNetwork(TINY).eval()
    seen = torch.randn(1, 16, 320), torch.randn(1, 384)
    with torch.no_grad():
        network.head.bias[END] = -100.0
    said = speak(network, seen)
    assert 0 < len(said) <= TINY.longest
    assert min(said) > 2
    assert len({tuple(said[at : at + 3]) for at in range(len(said) - 2)}) == len(said) - 2


def test_words_so_far_do_not_see_those_to_come() -> None:
    torch.manual_seed(3)
    network = DescriberNetwork(TINY).eval()
    seen = torch.randn(1, 16, 320), torch.randn(1, 384)
    with torch.inference_mode():
        short = network(seen, torch.tensor([[0, 3, 4]]))
        long = network(seen, torch.tensor([[0, 3, 4, 5, 6]]))
    torch.testing.assert_close(short, long[:, :3])


def test_bundles_of_another_kind_or_damaged_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no describer"):
        load_describer(shipped_bundle("features"))
    with pytest.raises(BundleError, match="holds no matcher"):
        load_matcher(shipped_bundle(DESCRIBER))
    wrong = TINY.model_copy(update={"width": 32})
    save_describer(tmp_path, manifest(wrong), DescriberNetwork(TINY).state_dict(), ["a"], ["a"])
    with pytest.raises(BundleError, match="size mismatch"):
        load_describer(tmp_path)
    save_describer(tmp_path, manifest(TINY), DescriberNetwork(TINY).state_dict(), ["a"], ["a"])
    with pytest.raises(BundleError, match="over another matcher"):
        SmallDescriber(tmp_path)


def test_the_shipped_one_is_small_and_says_more_than_chance() -> None:
    folder = shipped_bundle(DESCRIBER)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 8_000_000
    found = read_manifest(folder).provenance.described
    assert found is not None
    assert found.cosine > found.cosine_constant > found.cosine_mismatched
    assert found.overlap > found.overlap_mismatched
    assert found.cosine < found.cosine_people


def test_it_describes_pictures_of_any_size(small: SmallDescriber, kodak: list[Picture]) -> None:
    for picture in (*kodak[:2], np.zeros((1, 1, 3), np.uint8), kodak[0][:3]):
        telling = small.describe(picture)
        assert telling == small.describe(picture)
        assert telling.description.endswith(".")
        assert all(item.map is None for item in telling.items)
    assert len({small.describe(picture).description for picture in kodak}) > 2


def test_what_was_said_is_the_description(small: SmallDescriber, kodak: list[Picture]) -> None:
    told = small.describe(kodak[0], "A brown dog in the water. " + "word " * 60)
    assert told.description.startswith("A brown dog in the water. word")
    assert told.items[0] == Item("dog", "brown dog in the water")
    assert small.describe(kodak[0], "") == small.describe(kodak[0])


class Parrot(Captioner):
    """Says what it was taught, or nothing."""

    def __init__(self, words: str | CaptionerError) -> None:
        self.words = words

    def caption_batch(self, pictures: Sequence[Picture]) -> list[str | CaptionerError]:
        return [self.words for _ in pictures]


def test_any_captioner_can_describe(kodak: list[Picture]) -> None:
    told = CaptionedDescriber(Parrot("A man on a horse.")).describe(kodak[0])
    assert told.description == "A man on a horse."
    assert [item.name for item in told.items] == ["man", "horse"]
    mute = CaptionedDescriber(Parrot(CaptionerError("it is dark")))
    with pytest.raises(CaptionerError, match="it is dark"):
        mute.describe(kodak[0])
    assert mute.describe(kodak[0], "A horse.").description == "A horse."


def test_its_settings_are_a_recipe() -> None:
    recipe = read_recipe(ROOT / "training" / "configs" / "describer.yaml")
    assert isinstance(recipe, DescriberRecipe)
    assert recipe.matcher != "judge"
    matcher, _ = load_matcher(shipped_bundle(recipe.matcher))
    places, sentences = seen_by(matcher, torch.rand(2, 3, 70, 40))
    size = DescriberSize(words=9)
    assert places.shape[1:] == (size.places, size.channels)
    assert sentences.shape[1] == size.dim
