"""What the page's server measures next."""

from __future__ import annotations

from dataclasses import replace

from receiver.viewer.posts import Post, Shown
from receiver.viewer.viewer import Side, unmeasured


def shown(revision: int, psnr: float | None = None) -> Shown:
    return Shown(revision, "DECODED_NO_TEXT", f"r{revision}.png", 1.0, psnr)


def post(number: int, first: Shown | None = None, refined: Shown | None = None) -> Post:
    return Post(
        str(number),
        number,
        "a",
        0.0,
        original="a.png",
        preview=shown(0),
        first=first,
        refined=refined,
    )


def order(posts: list[Post], unmeasurable: set[tuple[str, Side, int]]) -> list[tuple[str, Side]]:
    """Posts and sides as they come up, each measured in its turn."""
    found = []
    while (due := unmeasured(posts, unmeasurable)) is not None:
        one, side = due
        found.append((one.id, side))
        done = replace(getattr(one, side), psnr=30.0)
        posts = [replace(p, **{side: done}) if p.id == one.id else p for p in posts]
    return found


def test_posts_with_and_without_words_come_before_newer_ones() -> None:
    posts = [post(1, shown(0), shown(1)), post(2, shown(0), shown(1)), post(3, shown(0)), post(4)]
    assert order(posts, set()) == [
        *[("2", side) for side in ("refined", "first", "preview")],
        *[("1", side) for side in ("refined", "first", "preview")],
        ("4", "preview"),
        ("3", "first"),
        ("3", "preview"),
    ]


def test_what_cannot_be_measured_or_has_no_original_is_left_out() -> None:
    known = replace(post(1, shown(0), shown(1)), original="")
    bad: set[tuple[str, Side, int]] = {("2", "refined", 1), ("2", "preview", 0)}
    assert order([known, post(2, shown(0), shown(1))], bad) == [("2", "first")]
