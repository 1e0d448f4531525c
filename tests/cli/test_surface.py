"""`longop.cli.surface`: how lines are drawn on a terminal and in a notebook."""

import io
import os

import pytest

from longop.cli import surface
from longop.cli.surface import Notebook, PlainTerminal, Terminal, is_terminal, surface_of

from .notebook import Plain
from .screen import Screen
from .test_drawing import File, drawn, seen


class Shown(File):
    """A file that is a terminal with a screen."""

    def __init__(self, wraps_again):
        super().__init__()
        self.screen = Screen(80, wraps_again)

    def write(self, text):
        self.screen.feed(text.replace("\n", "\r\n"))


@pytest.mark.parametrize("wraps_again", [True, False])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("columns", [40, 7, 200])
def test_resize(monkeypatch, wraps_again, rows, columns):
    """In a terminal that is made narrower no row of what stood stays, and none above is lost."""
    file = Shown(wraps_again)
    monkeypatch.setattr(surface, "size_of", lambda file: (file.screen.columns, 24))
    with drawn(file) as drawing:
        print("before")
        drawing.draw(["x" * Terminal(file).columns] * rows)
        file.screen.resize(columns)
        drawing.draw(["short"] * rows)
        assert file.screen.lines() == ["before", *["short"] * rows]
        file.screen.resize(80)
        print("after")
        drawing.draw(["y" * Terminal(file).columns] * rows)
    assert file.screen.lines() == ["before", "after", *["y" * 79] * rows, ""]


@pytest.mark.parametrize("wraps_again", [True, False])
@pytest.mark.parametrize("rows", [1, 3])
def test_resize_before_the_lines_come(monkeypatch, wraps_again, rows):
    """Lines for a wide terminal that come when it is narrower leave no row behind either."""
    file = Shown(wraps_again)
    monkeypatch.setattr(surface, "size_of", lambda file: (80, 24))
    with drawn(file) as drawing:
        print("before")
        file.screen.resize(40)
        drawing.draw(["x" * Terminal(file).columns] * rows)
        assert [len(line) for line in file.screen.lines()] == [6] + [40] * rows
        drawing.draw(["short"] * rows)
    assert file.screen.lines() == ["before", *["short"] * rows, ""]


def test_what_is_typed_is_wiped():
    """What a terminal echoes, such as ^C, is gone at the next draw, and at the end."""
    file = Shown(wraps_again=True)
    with drawn(file) as drawing:
        drawing.draw(["line one", "line two"])
        file.write("^C^C")
        drawing.draw(["", "line two"])
        assert file.screen.lines() == ["", "line two"]
        file.write("^C")
    assert file.screen.lines() == ["", "line two", ""]


@pytest.mark.parametrize("stand", [["line"], ["one", "two"]])
def test_what_others_write_stays(stand):
    """What a program writes past the prints is never drawn over."""
    file = Shown(wraps_again=True)
    with drawn(file) as drawing:
        drawing.draw(stand)
        file.write("written past it\n" * 3)
        drawing.draw(stand)
    assert file.screen.lines()[:3] == ["written past it"] * 3
    assert file.screen.lines()[3:] == [*stand, ""]


def test_one_line_without_escapes():
    """One line is drawn over the one before, with blanks: any terminal can do that."""
    file = File()
    with drawn(file, PlainTerminal) as drawing:
        print("before")
        drawing.draw(["a long line"])
        file.write("^C")
        drawing.draw(["short"])
    assert seen(file) == ["before", "short", ""]
    assert "\x1b" not in file.getvalue()


def test_which_surface(monkeypatch):
    """Lines are drawn in a terminal and in a notebook, and nowhere else."""
    monkeypatch.setenv("TERM", "xterm")
    # A console of Windows may not know escape sequences.
    assert type(surface_of(File())) is (PlainTerminal if os.name == "nt" else Terminal)
    monkeypatch.setenv("TERM", "dumb")
    assert type(surface_of(File())) is PlainTerminal
    closed = io.StringIO()
    closed.close()
    for file in (io.StringIO(), object(), closed):
        assert surface_of(file) is None
        assert not is_terminal(file)


def notebook(file):
    surface = surface_of(file)
    assert type(surface) is Notebook
    return surface


def test_notebook(pieces):
    """In a notebook one piece of the output has the prints and, below them, the lines."""
    file = Plain()
    with drawn(file, notebook) as drawing:
        drawing.draw(["a", "b"])
        print("printed")
        print("\r10%\r20%", end="")
        print("\r30%")
        print("no", "end", end="")
        drawing.draw(["c"])
        assert pieces.texts == ["printed\n30%\nc"]
        drawing.put(["the end"])
        drawing.finish_prints()
        drawing.draw([])
        sent = pieces.sent
    assert pieces.texts == ["printed\n30%\nthe end\nno end"]
    assert pieces.sent == sent  # nothing is sent twice
    assert file.text == ""


@pytest.mark.parametrize("count", [1_000, 10_000])
def test_notebook_with_many_prints(pieces, count):
    """What is sent to a notebook grows with what is printed, and every print is there once."""
    with drawn(Plain(), notebook) as drawing:
        for number in range(count):
            print(f"{number:099}")
            drawing.draw(["line"])
        drawing.draw([])
    lines = [line for text in pieces.texts for line in text.splitlines()]
    assert lines == [f"{number:099}" for number in range(count)]
    assert len(pieces.texts) == count // 100 or len(pieces.texts) == count // 100 + 1
    assert pieces.sent / (count * 100) < 60  # half of a piece with each
