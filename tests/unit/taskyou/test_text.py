"""What may stand in a card."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.taskyou.text import MOST_BODY, MOST_TITLE, body_of, title_of, wrong_with

ANYTHING = st.text(st.characters(codec=None, exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Greet", "Greet"),
        ("two\nlines\r\n and\ttabs ", "two lines and tabs"),
        ("\x1b[31mred\x07", "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"),
        ("a\x00b\ud800c", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"),
        ("turned \u202e around", "turned \N{REPLACEMENT CHARACTER} around"),
        ("--dangerous", "--dangerous"),
        ("C:\\new", "C:\\new"),
        (" \n ", "Run x"),
        ("", "Run x"),
        ("é" * 501, "é" * 499 + "…"),
        ("é" * 500, "é" * 500),
    ],
)
def test_a_title_that_we_generate_is_one_line(text: str, title: str) -> None:
    assert title_of(text, otherwise="Run x") == title


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("one\ntwo\r\nthree\tfour", "one\ntwo\nthree\tfour"),
        ("C:\\new and \\\\n and \\t", "C:\N{REVERSE SOLIDUS OPERATOR}new and \\\N{REVERSE SOLIDUS OPERATOR}n and \\t"),
        ("\\n", "\N{REVERSE SOLIDUS OPERATOR}n"),
        ("\x1b[2J\x00\ud800", "\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        ("\n\n x \n", "x"),
        ("", ""),
    ],
)
def test_a_body_that_we_generate_arrives_as_it_is(text: str, body: str) -> None:
    assert body_of(text) == body


@given(ANYTHING)
def test_whatever_is_generated_can_be_sent_and_is_read_back_the_same(text: str) -> None:
    title, body = title_of(text, otherwise="-"), body_of(text)

    assert not wrong_with(title)
    assert not wrong_with(body)
    assert 0 < len(title) <= MOST_TITLE
    assert len(title.splitlines()) == 1
    assert title.strip() == title
    assert body.replace("\\n", "\n") == body.strip() == body
    assert (title_of(title, otherwise="-"), body_of(body)) == (title, body)


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀", "\\n", "\n\\"])
def test_a_long_body_ends_with_how_much_is_missing(letter: str) -> None:
    whole = body_of("begin " + letter * 200_000 + " end")

    kept, _, last = whole.rpartition("\n\n")
    missing, everything = (int(word) for word in last.strip("()").split() if word.isdigit())
    assert len(whole.encode()) < MOST_BODY
    assert len(whole.encode()) > MOST_BODY - 100
    assert whole.startswith("begin ")
    assert (
        len(kept.encode()) + missing
        == everything
        == len(
            ("begin " + letter.replace("\\n", "\N{REVERSE SOLIDUS OPERATOR}n") * 200_000 + " end")
            .replace("\\n", "\N{REVERSE SOLIDUS OPERATOR}n")
            .encode()
        )
    )


def test_a_body_just_below_the_limit_is_whole() -> None:
    assert body_of("x" * (MOST_BODY - 1)) == "x" * (MOST_BODY - 1)
    assert body_of("x" * MOST_BODY) != "x" * MOST_BODY


@pytest.mark.parametrize("text", ["a\x00", "\ud83d", "\udcff"])
def test_what_a_person_wrote_is_not_sent_when_it_would_arrive_as_something_else(text: str) -> None:
    assert wrong_with(text)
    assert not wrong_with("--x $(y) `z` \x1b[31m \\n 😀\n")
