"""What decoders are told: nobody's own caption as a wrong one, nobody judged by what was told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.evaluation.texts import (
    TextMode,
    TextModeError,
    borrowed_from,
    judged_places,
    parse_modes,
    told_in,
)

feeds = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3), min_size=2, max_size=30)


@given(feeds, st.integers(0, 5))
def test_wrong_captions_are_others(captions: list[list[str]], seed: int) -> None:
    captioned = [index for index, own in enumerate(captions) if own]
    if len(captioned) == 1:
        with pytest.raises(TextModeError, match="there is 1"):
            borrowed_from(captions, seed)
        return
    lenders = borrowed_from(captions, seed)
    assert lenders == borrowed_from(captions, seed)
    wordings = {captions[index][0] for index in captioned}
    for index, lender in enumerate(lenders):
        if index not in captioned:
            assert lender is None
            continue
        assert lender is not None
        assert lender != index
        assert lender in captioned
        if len(wordings) > 1:
            assert captions[lender][0] != captions[index][0]


def test_distinct_captions_are_each_borrowed_once() -> None:
    lenders = borrowed_from([[f"caption {n}"] for n in range(50)])
    assert sorted(n for n in lenders if n is not None) == list(range(50))


def test_modes_tell_what_they_say() -> None:
    own = ("one", "two", "three")
    told = told_in(tuple(TextMode), own, "other")
    assert [(t.label, t.caption, t.judged) for t in told] == [
        ("none", None, (1, 2)),
        ("matched", "one", (1, 2)),
        ("mismatched", "other", (1, 2)),
        ("generic", "A photograph.", (1, 2)),
        ("caption-1", "one", (1, 2)),
        ("caption-2", "two", (0, 2)),
        ("caption-3", "three", (0, 1)),
    ]


def test_picture_with_one_caption_or_none_is_not_judged() -> None:
    (told,) = told_in([TextMode.MATCHED], ["only"], None)
    assert (told.caption, told.judged) == ("only", ())
    (told,) = told_in([TextMode.MATCHED], [], None)
    assert (told.caption, told.judged) == (None, ())
    assert told_in([TextMode.ALL_CAPTIONS], [], None) == ()


@given(st.integers(1, 9), st.data())
def test_judge_never_reads_what_was_told(captions: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, captions))
    places = judged_places(f"caption-{number}", captions)
    assert number - 1 not in places
    assert len(places) == captions - 1


def test_modes_by_name() -> None:
    assert parse_modes("none, matched,none") == (TextMode.NONE, TextMode.MATCHED)
    with pytest.raises(TextModeError, match="'sometimes'; choose from none, matched"):
        parse_modes("matched,sometimes")
