"""What lines are drawn on, with prints above them: a terminal, or a notebook.

A `Surface` is a `Terminal`, a `PlainTerminal` or a `Notebook`. One thread at a time draws: the
lock is that of `drawing`.
"""

from __future__ import annotations

import contextlib
import os
from importlib import import_module
from itertools import groupby
from typing import IO, Any, Protocol, Sequence, Tuple

from .columns import UNKNOWN_WIDTH, size_of, visible

#: What is to be printed: a stream, or None for the surface itself; and whole lines.
Print = Tuple[Any, str]

MOST_REPEATED = 10_000  # characters of prints that a notebook gets again with each draw
MOST_IN_NOTEBOOK = 50  # lines
_ECHO = 2  # columns, because a terminal echoes Ctrl-C as ^C
_UP = "\x1b[A"
_WIPE_REST = "\x1b[K"  # of the line
_WIPE_BELOW = "\x1b[J"  # the rest of the line, too
_WRAP = "\x1b[?7h"
_CUT_OFF = "\x1b[?7l"  # what does not fit into a line


class Surface(Protocol):
    """What there is to know of one, and how it is drawn on."""

    has_colours: bool

    @property
    def columns(self) -> int:
        """The columns that a line may take."""
        ...

    @property
    def most_lines(self) -> int:
        """How many lines may stand."""
        ...

    def sees(self, stream: Any) -> bool:
        """Return whether what is printed to a stream is seen beside the lines."""
        ...

    def draw(self, lines: Sequence[str], prints: Sequence[Print]) -> None:
        """Draw lines in place of those that stand, below some prints."""
        ...

    def leave(self) -> None:
        """Leave the lines that were just drawn as they stand."""
        ...


class Terminal:
    """A terminal that has escape sequences.

    Between two draws the cursor is where the first line begins. So there is no need to know in
    which rows the lines stand: a terminal that is made narrower wraps them or cuts them off,
    and either way they are all that is below the cursor. Nothing above it is ever wiped.
    """

    has_colours = True
    _spare = 1  # columns that a line leaves free: in the last one, the rest cannot be wiped

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._stand = 0  # lines

    @property
    def columns(self) -> int:
        """The columns that a line may take, now."""
        return size_of(self._file)[0] - self._spare

    @property
    def most_lines(self) -> int:
        """How many lines may stand: all rows but the one where the cursor goes at the end."""
        return max(1, size_of(self._file)[1] - 1)

    def sees(self, stream: Any) -> bool:
        """Return whether a stream is a terminal: it is this one."""
        return stream is self._file or is_terminal(stream)

    def draw(self, lines: Sequence[str], prints: Sequence[Print]) -> None:
        """Wipe what stands if there are prints, and write them; draw the lines."""
        stood = self._stand
        self._stand = len(lines)  # first: Ctrl-C may come while this writes
        if prints:
            write(self._file, self._wiped())
            self._write_prints(prints)
        if lines or (stood and not prints):
            write(self._file, self._drawn(lines))

    def leave(self) -> None:
        """Go to an empty line below."""
        write(self._file, "\n" * self._stand)
        self._stand = 0

    def _write_prints(self, prints: Sequence[Print]) -> None:
        # In one go as long as they are for the same stream.
        for _, pieces in groupby(prints, lambda piece: id(piece[0])):
            streams, texts = zip(*pieces)
            write(self._file if streams[0] is None else streams[0], "".join(texts))

    def _wiped(self) -> str:
        """Return what wipes the lines that stand."""
        return f"\r{_WIPE_BELOW}"

    def _drawn(self, lines: Sequence[str]) -> str:
        """Return what draws lines over those that stand."""
        text = f"{_WIPE_REST}\n".join(lines)
        back = f"\r{_UP * (len(lines) - 1)}"
        # Cut off, because the terminal may be narrower by the time that it reads this.
        return f"{_CUT_OFF}\r{text}{_WIPE_BELOW}{back}{_WRAP}"


class PlainTerminal(Terminal):
    """A terminal that has none: blanks cover the only line."""

    has_colours = False
    most_lines = 1
    _spare = 1 + _ECHO  # the cursor is behind the line, and so is what is typed

    def _wiped(self) -> str:
        # All but the last column, in which it would wrap: anything may stand there.
        return f"\r{' ' * (size_of(self._file)[0] - 1)}\r"

    def _drawn(self, lines: Sequence[str]) -> str:
        return self._wiped() + "".join(lines[:1])


class Notebook:
    """A piece of a notebook's output, which is replaced as a whole.

    Streams would be drawn over as well while one looks; but a notebook that is executed without
    a browser saves everything that was ever written to them.
    """

    has_colours = False
    columns = UNKNOWN_WIDTH
    most_lines = MOST_IN_NOTEBOOK

    def __init__(self) -> None:
        self._display: Any = import_module("IPython.display")
        self._above = ""  # what was printed, in this piece
        self._id: str | None = None  # of this piece
        self._shown = ""

    def sees(self, stream: Any) -> bool:
        """Return whether a stream is a notebook's."""
        return is_notebook(stream)

    def draw(self, lines: Sequence[str], prints: Sequence[Print]) -> None:
        """Replace the piece by all that was printed, and the lines."""
        text = "".join(text for _, text in prints)
        self._above += "\n".join(map(visible, text.split("\n")))
        if len(self._above) > MOST_REPEATED:
            self._show(self._above)
            self._above = ""
            self._id = None  # the lines go on below it
            self._shown = ""
        self._show(self._above + "\n".join(lines))

    def leave(self) -> None:
        """Do nothing: what is written next stands below."""

    def _show(self, text: str) -> None:
        bundle = {"text/plain": text.rstrip("\n")}
        if text == self._shown:
            return
        self._shown = text
        if self._id is not None:
            self._display.update_display(bundle, raw=True, display_id=self._id)
        else:
            self._id = self._display.display(bundle, raw=True, display_id=True).display_id


def surface_of(file: IO[str]) -> Surface | None:
    """Return how a file is drawn on, or None if it is neither a terminal nor a notebook's."""
    if is_notebook(file):
        return Notebook()
    if not is_terminal(file):
        return None
    has_escapes = os.environ.get("TERM") != "dumb" and os.name != "nt"
    return Terminal(file) if has_escapes else PlainTerminal(file)


def is_terminal(file: Any) -> bool:
    """Return whether a file is a terminal."""
    # A notebook's stream, or a user's own, may have no such method.
    isatty = getattr(file, "isatty", None)
    try:
        return bool(isatty and isatty())
    except ValueError:  # it is closed
        return False


def is_notebook(file: Any) -> bool:
    """Return whether a file is a standard stream of a notebook's."""
    return type(file).__module__.startswith("ipykernel.")


def write(stream: Any, text: str) -> None:
    """Write a text at once, whether anybody reads it or not."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it was closed
        stream.write(text)
        stream.flush()
