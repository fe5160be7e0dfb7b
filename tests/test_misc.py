"""``misc``: words, maps and a reference in one container, and the picture that is painted of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sender.encode_worker import CodecSettings, EncodeTask, Made, build_encoder
from shared.bitstream.container import Container, Form
from shared.codecs import ToldEncoder, get_codec
from shared.codecs.halves import LatentEncoder
from shared.codecs.preview import preview, previewer
from shared.codecs.semantic import SemanticDecoder, SemanticEncoder
from shared.errors import (
    ContainerError,
    CorruptStreamError,
    ModelMismatchError,
    QualityError,
    SidewireError,
)
from shared.feed import TOLD_COLUMNS, read_feed
from shared.pictures import Picture
from shared.systems.catalogue import TextPlacement, system
from shared.systems.misc import AIMS
from shared.telling.describer import Describer
from shared.telling.grounder import Grounder
from shared.telling.teller import Teller
from shared.telling.telling import Item, ItemMap, Telling, TellingError
from tests.picture_files import png

WORDS = "Three bright hats hang on a blue wall."
MAP = np.zeros((11, 16), np.bool_)
MAP[2:6, 3:9] = True
TELLING = Telling(WORDS, (Item("red hat", "a bright red cap", MAP), Item("blue wall", "", ~MAP)))


@pytest.fixture(scope="module")
def encoder() -> SemanticEncoder:
    found = get_codec("misc").encoder
    assert isinstance(found, SemanticEncoder)
    return found


@pytest.fixture(scope="module")
def decoder() -> SemanticDecoder:
    found = get_codec("misc").decoder
    assert isinstance(found, SemanticDecoder)
    return found


@pytest.fixture(scope="module")
def blob(encoder: SemanticEncoder, kodak: dict[str, Picture]) -> bytes:
    return encoder.encode_telling(kodak["kodim03"], 1, TELLING).blob


def test_who_is_told_is_the_sender_alone(
    encoder: SemanticEncoder, decoder: SemanticDecoder
) -> None:
    assert isinstance(encoder, ToldEncoder)
    assert not decoder.reads_text
    assert system("misc").text is TextPlacement.ENCODER


@pytest.mark.parametrize("level", AIMS)
def test_a_stream_holds_what_was_told_within_its_rate(
    level: int, encoder: SemanticEncoder, decoder: SemanticDecoder, kodak: dict[str, Picture]
) -> None:
    picture = kodak["kodim03"]
    encoded = encoder.encode_telling(picture, level, TELLING)
    # What the next finer reference would have cost is all that may be left of the rate.
    assert 0.8 * AIMS[level].bits_per_pixel < encoded.bits_per_pixel <= AIMS[level].bits_per_pixel
    opened = decoder.open(encoded.blob)
    assert opened.telling == TELLING
    level_of_base = opened.header.quality
    opened = decoder.open(encoder.sealed(picture, level, TELLING, level_of_base).blob)
    reference = encoder.reference.symbols(picture, level_of_base)
    for own, theirs in zip(opened.reference.coded, reference.coded, strict=True):
        assert np.array_equal(own, theirs)


def test_the_same_stream_is_painted_the_same_picture(
    blob: bytes, decoder: SemanticDecoder, kodak: dict[str, Picture]
) -> None:
    first, again = decoder.decode(blob), decoder.decode(blob)
    assert first.picture.shape == kodak["kodim03"].shape
    assert np.array_equal(first.picture, again.picture)
    reference = decoder.reference_of(decoder.open(blob))
    assert not np.array_equal(first.picture, reference)
    # Painted is no other picture than what was sent.
    assert np.abs(first.picture.astype(int) - reference).mean() < 20


def test_other_words_paint_another_picture(
    encoder: SemanticEncoder, decoder: SemanticDecoder, kodak: dict[str, Picture]
) -> None:
    picture = kodak["kodim03"][:128, :192]
    telling = Telling("A ship sails on the dark sea at night.")
    blobs = [encoder.sealed(picture, 3, one, 9).blob for one in (Telling(WORDS), telling)]
    own, other = (decoder.open(blob) for blob in blobs)
    # The same noise: what differs is what the words say.
    other = replace(other, crc32c=own.crc32c)
    assert not np.array_equal(decoder.painted(own), decoder.painted(other))


def test_a_small_picture_takes_the_short_form_and_what_its_words_take(
    encoder: SemanticEncoder, decoder: SemanticDecoder, kodak: dict[str, Picture]
) -> None:
    picture = kodak["kodim03"][:40, :72]
    encoded = encoder.encode_telling(picture, 1, TELLING)
    assert Container.from_bytes(encoded.blob).form is Form.SHORT
    assert len(encoded.blob) < 120
    opened = decoder.open(encoded.blob)
    assert opened.telling == TELLING
    assert opened.header.quality == encoder.reference.qualities[0]
    assert decoder.decode(encoded.blob).picture.shape == picture.shape


def test_a_changed_byte_is_found_out(blob: bytes, decoder: SemanticDecoder) -> None:
    for place in range(0, len(blob), 37):
        broken = bytearray(blob)
        broken[place] ^= 0x10
        (outcome,) = decoder.decode_batch([bytes(broken)], [None])
        assert isinstance(outcome, SidewireError), place
    with pytest.raises((CorruptStreamError, ContainerError)):
        decoder.open(blob[: len(blob) // 2])


def test_one_bad_stream_stops_no_other(blob: bytes, decoder: SemanticDecoder) -> None:
    bad, good = decoder.decode_batch([blob[:-8], blob], [None, "not read"])
    assert isinstance(bad, SidewireError)
    assert not isinstance(good, SidewireError)


def test_streams_of_others_are_refused_by_name(
    blob: bytes, decoder: SemanticDecoder, kodak: dict[str, Picture]
) -> None:
    theirs = get_codec("base").encode(kodak["kodim03"], 9).blob
    with pytest.raises(SidewireError, match="misc decodes 3"):
        decoder.open(theirs)
    container = Container.from_bytes(blob)
    other = replace(container.header, model_id=b"\1\2\3\4")
    with pytest.raises(ModelMismatchError, match="01020304"):
        decoder.open(replace(container, header=other).to_bytes())
    with pytest.raises(QualityError, match="no quality 9"):
        decoder.open(replace(container, header=replace(container.header, quality=9)).to_bytes())


class Saying(Describer):
    """Finds a hat in every picture."""

    def describe(self, picture: Picture, said: str | None = None) -> Telling:
        return Telling(said or "A hat.", (Item("hat", "a red hat"),))


class Pointing(Grounder):
    """Finds everything in one place, and says what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ground(self, picture: Picture, names: list[str]) -> list[ItemMap]:  # type: ignore[override]
        self.asked += names
        return [MAP for _ in names]


def test_a_teller_asks_only_for_what_was_not_said(kodak: dict[str, Picture]) -> None:
    picture, pointing = kodak["kodim03"], Pointing()
    teller = Teller(Saying, lambda: pointing)
    assert teller.tell(picture, None, items=False) == Telling("A hat.")
    assert teller.tell(picture, WORDS, items=False) == Telling(WORDS)
    assert pointing.asked == []
    assert teller.tell(picture, WORDS, items=True) == Telling(
        WORDS, (Item("hat", "a red hat", MAP),)
    )
    rows = ["1" * 16] * 11
    items = [{"name": "wall", "map": rows}, {"name": "cap"}]
    given = json.dumps({"description": WORDS, "items": items})
    told = teller.tell(picture, given, items=True)
    assert [item.name for item in told.items] == ["wall", "cap"]
    assert told.items[0].map is not None
    assert told.items[0].map.all()
    assert told.items[1] == Item("cap", "", MAP)
    assert pointing.asked == ["hat", "cap"]
    with pytest.raises(TellingError, match=r"items\.0\.map"):
        teller.tell(picture, '{"items": [{"name": "cap", "map": ["01"]}]}', items=True)


def test_without_words_it_finds_them_in_the_picture(
    encoder: SemanticEncoder, decoder: SemanticDecoder, kodak: dict[str, Picture]
) -> None:
    telling = decoder.open(encoder.encode_told(kodak["kodim03"], 1, None).blob).telling
    assert len(telling.description.split()) >= 3
    assert telling.items
    for item in telling.items:
        assert item.map is not None
        assert 0 < item.map.sum() < item.map.size


def test_previews_are_those_of_its_references(
    encoder: SemanticEncoder, kodak: dict[str, Picture]
) -> None:
    small = previewer(encoder)
    assert isinstance(small, LatentEncoder)
    picture = kodak["kodim03"]
    assert preview(picture, 50, "misc").blob == preview(picture, 50, "base").blob


def test_a_sender_is_told_a_feeds_tellings_and_a_bad_one_costs_no_picture(
    tmp_path: Path, kodak: dict[str, Picture], decoder: SemanticDecoder
) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    picture = kodak["kodim03"][:64, :96]
    given = [json.dumps({"description": WORDS, "items": [{"name": "hat"}]}), '{"items": 3}', None]
    rows = [
        {"id": str(n), "image": png(picture), "captions": ["A hat."], "telling": telling}
        for n, telling in enumerate(given)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "feed.parquet")
    read = list(read_feed(tmp_path / "feed.parquet", TOLD_COLUMNS))
    assert [row.telling for row in read] == [given[0], given[1], ""]
    terms, make = build_encoder(CodecSettings("misc", 1, threads=1))
    assert terms.told
    assert terms.tellings
    made = [make(EncodeTask(row.image, row.telling or row.captions[0])) for row in read]
    assert all(isinstance(one, Made) for one in made)
    whole, bad, plain = (one for one in made if isinstance(one, Made))
    assert decoder.open(whole.container).telling.items[0].name == "hat"
    assert "telling's items" in bad.warning
    assert decoder.open(bad.container).telling.description
    assert decoder.open(plain.container).telling.description == "A hat."
