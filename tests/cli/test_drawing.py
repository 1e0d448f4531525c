"""`longop.cli.drawing`: lines in place, and prints above them."""

import contextlib
import io
import sys
import threading

import pytest

from longop.cli.drawing import MOST_WAITING, Drawing
from longop.cli.surface import PlainTerminal, Terminal
from longop.functions import printed

from .screen import Screen


class File(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def file():
    return File()


@contextlib.contextmanager
def drawn(file, kind=Terminal):
    """A drawing in a file that is standard output and error. Not a fixture: see `printed`'s."""
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = file
    try:
        with Drawing(kind(file)) as drawing:
            yield drawing
        assert (sys.stdout, sys.stderr) == (file, file)
    finally:
        sys.stdout, sys.stderr = before


def seen(file, columns=80):
    screen = Screen(columns)
    screen.feed(file.getvalue().replace("\n", "\r\n"))  # as a terminal does
    return screen.lines()


def test_more_and_fewer_lines(file):
    """Lines come and go, and none is left behind."""
    with drawn(file) as drawing:
        for lines in (["a"], ["aa", "b", "c"], ["aaa", "b"], ["a"], [], ["x", "y"]):
            drawing.draw(lines)
            assert seen(file)[:len(lines)] == lines
            assert not any(seen(file)[len(lines):])
    assert seen(file) == ["x", "y", ""]


def test_prints(file):
    """Prints stand above, in their order, each line whole, when something is drawn."""
    with drawn(file) as drawing:
        drawing.draw(["a", "b"])
        print("one", end="")
        printed.write_out(2, b"\n")
        assert seen(file) == ["a", "b"]
        print("two\nthr", end="")
        drawing.draw(["c", "d"])
        assert seen(file) == ["one", "two", "c", "d"]
    assert seen(file) == ["one", "two", "thr", "c", "d", ""]


def test_a_bar_of_the_function(file):
    """Of a line that is printed over itself the last state stays."""
    with drawn(file) as drawing:
        for percent in range(100):
            print(f"\r{percent}%", end="")
        print("\r", end="")
        print("\n", end="")
        drawing.draw(["line"])
    assert seen(file) == ["99%", "line", ""]
    assert "50%" not in file.getvalue()


@pytest.mark.parametrize("size", [1_000, 10_000])
def test_many_prints_are_few_writes(file, size):
    """What is written grows with what is printed, not with how often the line is drawn."""
    with drawn(file) as drawing:
        drawing.draw(["line"])
        for _ in range(size):
            print("x")
        drawing.draw(["line"])
    assert file.getvalue().count("line") <= 3 + 2 * size // MOST_WAITING
    assert seen(file) == [*"x" * size, "line", ""]


def test_what_waits_is_bounded(file):
    """If nobody draws, the thread that prints writes."""
    with drawn(file):
        for _ in range(3):
            print("x" * MOST_WAITING)
        assert file.getvalue().count("x") >= 2 * MOST_WAITING


def test_a_late_thread(file):
    """A thread that comes to print while the drawing ends loses nothing."""
    drawing = Drawing(Terminal(file))
    with drawing:
        drawing.draw(["line"])
    assert not drawing.take(file, b"late\n")


def test_threads(file):
    """Lines of several threads come whole and once."""
    barrier = threading.Barrier(4)

    def talk(name):
        barrier.wait()
        for number in range(200):
            sys.stdout.write(f"{name} {number}\n")

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abc"]
    with drawn(file) as drawing:
        for thread in threads:
            thread.start()
        barrier.wait()
        while any(thread.is_alive() for thread in threads):
            drawing.draw(["line"])
        for thread in threads:
            thread.join()
    expected = sorted(f"{name} {number}" for name in "abc" for number in range(200))
    assert sorted(seen(file)[:-2]) == expected


def test_pieces_of_lines_of_two_threads(file):
    """A line that comes in pieces is not mixed with one of another thread."""
    def other():
        print("other")

    with drawn(file) as drawing:
        sys.stdout.write("one ")
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        print("line")
        drawing.draw(["line"])
        assert seen(file) == ["other", "one line", "line"]
        assert not drawing._unfinished  # nothing is kept of a thread that has ended


def test_closed_file(file):
    """That nobody reads it is no error."""
    with drawn(file) as drawing:
        file.close()
        print("x")
        drawing.draw(["line"])


def test_other_encoding():
    """A stream that cannot express what is printed gets it escaped."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, "ascii", newline="\n", write_through=True)
    with drawn(file, PlainTerminal):
        print("汉")
    assert b"\\u6c49\n" in raw.getvalue()
