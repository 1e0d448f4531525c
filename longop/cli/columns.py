"""How many columns of a terminal a text takes, what of it fits into some, and what is seen of it.

Knows nothing of what is shown.
"""

from __future__ import annotations

import os
from typing import IO, Iterator
from unicodedata import category, east_asian_width

UNKNOWN_WIDTH = 80  # columns of what does not tell how wide it is
UNKNOWN_HEIGHT = 24


def clean(text: str, encoding: str = "utf-8") -> str:
    """Return a text without control characters; what an encoding cannot express is escaped."""
    printable = "".join(char for char in text if char.isprintable())
    return printable.encode(encoding, "backslashreplace").decode(encoding)


def visible(line: str) -> str:
    """Return what can be seen of a line that draws over itself, as a progress bar's does."""
    before, _, last = line.rpartition("\r")
    return last or (before.rpartition("\r")[2] + "\r" if before else "")


def width(text: str) -> int:
    """Return how many columns a text takes."""
    return sum(map(_width_of, text))


def fit(text: str, columns: int) -> str:
    """Return the begin of a text, as much as fits into some columns."""
    taken = 0
    for place, char in enumerate(text):
        taken += _width_of(char)
        if taken > columns:
            return text[:place]
    return text


def fit_end(text: str, columns: int) -> str:
    """Return the end of a text, as much as fits into some columns."""
    return fit(text[::-1], columns)[::-1]


def wrap(text: str, columns: int) -> Iterator[str]:
    """Yield a line of text as lines that fit into some columns, cut between words if it can be."""
    text = text.rstrip()
    while text:
        line = fit(text, columns) or text[0]
        is_cut = len(line) < len(text) and text[len(line)] != " "  # inside of a word
        if is_cut and " " in line.rstrip():
            begin, _, _ = line.rpartition(" ")
            line = begin if begin.strip() else line
        yield line.rstrip()
        text = text[len(line):].lstrip()


def size_of(file: IO[str]) -> tuple[int, int]:
    """Return the columns and the lines of the terminal that a file is, as far as it tells."""
    try:
        size = os.get_terminal_size(file.fileno())
    except (AttributeError, ValueError, OSError):  # not a terminal, or not a file
        return UNKNOWN_WIDTH, UNKNOWN_HEIGHT
    return size.columns or UNKNOWN_WIDTH, size.lines or UNKNOWN_HEIGHT


def _width_of(char: str) -> int:
    if category(char) in ("Mn", "Me"):  # it stands on the character before it
        return 0
    return 2 if east_asian_width(char) in "WF" else 1
