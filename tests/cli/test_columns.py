"""`longop.cli.columns`: how much of a text fits into a terminal."""

import io

from longop.cli import columns


def test_width():
    """Chinese signs take two columns, accents that are characters of their own none."""
    assert columns.width("a汉e\u0301") == 4


def test_fit():
    """A sign that would stick out is left out."""
    assert columns.fit("a汉字", 4) == "a汉"
    assert columns.fit_end("汉字a", 4) == "字a"
    assert columns.fit("abc", 3) == "abc"


def test_wrap():
    """A text is cut between words, or, if one is too long, inside of it; nothing is lost."""
    assert list(columns.wrap("one two  three", 8)) == ["one two", "three"]
    assert list(columns.wrap("one two three", 7)) == ["one two", "three"]
    assert list(columns.wrap("abcdefgh i", 3)) == ["abc", "def", "gh", "i"]
    assert list(columns.wrap("汉字", 1)) == ["汉", "字"]
    assert list(columns.wrap(" ", 3)) == []


def test_size_of_no_terminal():
    """What is no terminal counts as one of 80 columns."""
    assert columns.size_of(io.StringIO()) == (80, 24)
