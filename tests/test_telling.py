"""What is told of a picture: limits, what feeds give, and items of descriptions."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telling.items import items_of
from shared.telling.telling import DESCRIPTION, Item, Telling, TellingError, clipped_text
from shared.telling.tokens import joined, pieces
from tests.told import CAPTIONS, DOG, blob
from training.lexicon import nouns_of

NOUNS = nouns_of(CAPTIONS)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Telling("a " * 50 + "a"), "telling's description is 51 words, must be at most 50"),
        (lambda: Telling("é" * 257), "telling's description is 514 bytes, must be at most 512"),
        (lambda: Telling("a  dog"), "spaces in excess"),
        (lambda: Telling(" dog"), "spaces in excess"),
        (lambda: Telling("a\ndog"), "control characters"),
        (lambda: Telling("\ud800"), "surrogate"),
        (lambda: Telling("", (Item("dog"),) * 4), "telling's items is 4 items, must be at most 3"),
        (lambda: Item(""), "telling's name is empty, must be one word at least"),
        (lambda: Item("a very big dog"), "telling's name is 4 words, must be at most 3"),
        (lambda: Item("dog", "a " * 10 + "a"), "telling's detail is 11 words, must be at most 10"),
        (lambda: Item("dog", "", np.zeros((7, 16), np.bool_)), "map is 7x16, must be sides 8 to 16"),
        (lambda: Item("dog", "", np.zeros((8, 17), np.bool_)), "map is 8x17, must be sides 8 to 16"),
        (lambda: Item("dog", "", np.zeros((8, 8), np.uint8)), "map is uint8 of 2 dimensions"),
        (
            lambda: Telling("", (Item("a", "", blob(8, 8, 0, 0, 1)), Item("b", "", DOG.items[0].map))),
            "maps of 8x8 and 11x16, must be maps of one shape",
        ),
    ],
)
def test_what_is_beyond_a_limit_is_refused_by_name(make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(TellingError, match="telling's") as caught:
        make()
    assert said in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_tellings_are_values() -> None:
    place = blob(8, 8, 1, 1, 3)
    item = Item("dog", "", place)
    place[:] = False
    assert item == Item("dog", "", blob(8, 8, 1, 1, 3))
    assert item != Item("dog")
    assert len({item, Item("dog", "", blob(8, 8, 1, 1, 3)), Item("dog")}) == 2
    assert item.map is not None
    with pytest.raises(ValueError, match="read-only"):
        item.map[0, 0] = True


@given(st.text(alphabet=st.characters(), max_size=2000) | st.just("word " * 3000))
def test_any_words_are_cut_and_taken(text: str) -> None:
    telling = Telling.clipped(text)
    assert len(telling.description.split(" ")) <= DESCRIPTION.words
    assert Telling.clipped(telling.description) == telling


def test_a_feed_tells_plain_words_or_all_of_it() -> None:
    assert Telling.of_text(None) == Telling.of_text(" \n") == Telling()
    assert Telling.of_text(" A  dog\truns.") == Telling("A dog runs.")
    assert Telling.of_text("{not JSON}").description == "{not JSON}"
    assert Telling.of_text("[" * 5000).description == "[" * 512
    assert Telling.of_text('{"a":' * 1600).description.startswith('{"a":')
    rows = ["".join("01"[int(place)] for place in row) for row in blob(8, 9, 2, 2, 4)]
    whole = {
        "description": "word " * 60,
        "items": [{"name": "the big brown dog", "map": rows}, {"name": "sky", "detail": "blue"}],
    }
    told = Telling.of_text(json.dumps(whole))
    assert told.description == " ".join(["word"] * 50)
    assert told.items == (Item("the big brown", "", blob(8, 9, 2, 2, 4)), Item("sky", "blue"))


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"words": "a dog"}, "words"),
        ({"description": 7}, "description"),
        ({"items": [{"detail": "blue"}]}, "items.0.name"),
        ({"items": [{"name": "a"}, {"name": " "}]}, "items.1.name is empty"),
        ({"items": [{"name": "a", "map": ["01", "0"]}]}, "items.0.map is rows of 2 lengths"),
        ({"items": [{"name": "a", "map": ["0x"] * 8}]}, "rows of 0 and 1"),
        ({"items": [{"name": "a", "map": []}]}, "rows of one length"),
        ({"items": [{"name": "a", "map": ["0" * 99] * 8}]}, "items.0.map is 8x99"),
    ],
)
def test_a_feed_that_tells_it_wrongly_is_refused_by_name(given_: object, said: str) -> None:
    with pytest.raises(TellingError) as caught:
        Telling.of_text(json.dumps(given_))
    assert said in str(caught.value)


@given(st.text(max_size=80), st.booleans())
def test_pieces_are_the_text(text: str, sentences: bool) -> None:
    usual = clipped_text(text, DESCRIPTION)
    assert joined(pieces(usual, sentences=sentences), sentences=sentences) == usual


def test_usual_spaces_and_capitals_need_no_mark() -> None:
    found = list(pieces("A man's dog, 4 years old. It barks (twice)!", sentences=True))
    assert not any(piece.turned for piece in found)
    assert [piece.bare for piece in found if piece.moved] == []
    assert [piece.bare for piece in pieces("The USA", sentences=False) if piece.turned] == [
        "the",
        "uSA",
    ]


def test_nouns_are_told_by_where_they_stand() -> None:
    assert {"dog", "children", "woman", "bird", "water", "street", "sand", "grass"} <= set(NOUNS)
    assert not {"runs", "brown", "red", "the", "in", "looking"} & set(NOUNS)


def test_items_are_the_first_things_with_what_is_said_of_them() -> None:
    nouns = {*NOUNS, "tennis", "ball", "beach", "group", "people"}
    assert items_of("A man in a red shirt plays on the sand with a tennis ball.", nouns) == (
        Item("man", "man in a red shirt"),
        Item("sand", "sand with a tennis ball"),
    )
    assert items_of("A group of people and the brown dog, a dog.", nouns) == (
        Item("people", "people"),
        Item("dog", "brown dog"),
    )
    assert items_of("Ein Hund läuft.", nouns) == ()
    assert items_of("", nouns) == ()
