"""The status of a job as one line of a terminal: what matters most takes its room first.

    running  40% ████████░░░░░░░░ 12/30 1.5/s 0:08 -0:12 epoch 12

Knows nothing of where the line is drawn, or when.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from ..status import State, Status
from ..values.growth import Growth
from ..values.jsontext import to_text
from . import figures
from .columns import clean, fit, fit_end, width, wrap

LONGEST_BAR = 30
SHORTEST_BAR = 5
FEWEST_WORDS = 8  # columns; less of what a job says tells nothing
FEW_WORDS = 24  # columns for what the job says, which it gets before the times
LONGEST_TEXT = 500  # characters of a message or a result that are looked at
UNLIMITED = 1_000_000  # columns, where there is no terminal

_ORDER = ("label", "state", "done", "bar", "count", "rate", "elapsed", "left", "queue", "words")


class Look(NamedTuple):
    """The signs that a file's encoding can express."""

    full: str
    empty: str
    spinner: str
    encoding: str

    @classmethod
    def of(cls, file: Any) -> Look:
        """Return the look for a file."""
        encoding = getattr(file, "encoding", None) or "ascii"
        if encoding.lower().startswith("utf"):
            return cls("█", "░", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", encoding)
        return cls("#", ".", "|/-\\", encoding)


class Moment(NamedTuple):
    """A job at the moment it is drawn."""

    status: Status
    elapsed: float = 0.0
    left: float | None = None  # seconds that it may still take
    label: str = ""  # which job it is, where there are several
    turn: int = 0  # of the spinner


def spins(status: Status) -> bool:
    """Return whether a job shows a spinner: it runs, and nobody knows how far it is."""
    return status.state is State.RUNNING and status.progress is None


def plain(moment: Moment, look: Look) -> str:
    """Return the line for what is no terminal: all that is known, and no bar."""
    row = _Row(UNLIMITED, look)
    status = moment.status
    row.offer("done", _percent(status))
    _offer_basics(row, moment)
    _offer_times(row, moment)
    row.offer("words", _words(status, UNLIMITED))
    row.offer("rate", _rate(moment))
    return row.text()


def live(moment: Moment, look: Look, columns: int) -> str:
    """Return the line for some columns of a terminal."""
    row = _Row(columns, look)
    status = moment.status
    _offer_basics(row, moment)
    row.offer("done", _spinner(moment, look) or _percent(status))
    row.offer("bar", _bar(status, look, SHORTEST_BAR))
    if row.room_for("words") >= FEWEST_WORDS:
        row.offer("words", _words(status, min(FEW_WORDS, row.room_for("words"))))
    _offer_times(row, moment)
    if row.room_for("words") >= FEWEST_WORDS:
        row.offer("words", _words(status, row.room_for("words")))
    row.offer("rate", _rate(moment))
    if row.room_for("bar") >= SHORTEST_BAR:
        row.offer("bar", _bar(status, look, min(row.room_for("bar"), LONGEST_BAR)))
    return row.text()


def together(moments: Sequence[Moment], look: Look, columns: int) -> str:
    """Return one line for several jobs, as many as there is room for: ``f #1 40%, f #2 12``."""
    texts = [clean(f"{moment.label} {_how_far(moment.status)}", look.encoding)
             for moment in moments[:columns]]  # each takes a column at least
    for shown in range(len(texts), 0, -1):
        line = ", ".join(texts[:shown])
        if shown < len(moments):
            line += f", {and_more(len(moments) - shown)}"
        if width(line) <= columns:
            return line
    return fit(and_more(len(moments)), columns)


def and_more(count: int) -> str:
    """Return the words for jobs that find no room."""
    return f"... and {count:,} more"


def below(moment: Moment, look: Look, columns: int) -> list[str]:
    """Return the lines of an error that finds no room in the line of a job's end."""
    if moment.status.error is None:
        return []
    words = clean(_words(moment.status, columns), look.encoding)
    if live(moment, look, columns).endswith(words):
        return []
    lines: list[str] = []
    for text in moment.status.error.splitlines():
        lines += wrap(clean(text, look.encoding), max(columns, 1))
    return lines


class _Row:
    """The parts of a line, as far as there is room for them."""

    def __init__(self, columns: int, look: Look) -> None:
        self.room = columns + 1  # each part takes a blank, the first one too
        self._look = look
        self._parts: dict[str, str] = {}

    def room_for(self, name: str) -> int:
        """Return the columns that a part could have."""
        before = self._parts.get(name)
        return self.room - 1 + (0 if before is None else width(before) + 1)

    def offer(self, name: str, text: str) -> None:
        """Put a part into its place, in place of what was there, if it fits."""
        text = clean(text, self._look.encoding)
        size = width(text)
        room = self.room_for(name)
        if text and size <= room:
            self._parts[name] = text
            self.room = room - size

    def text(self) -> str:
        """Return the line."""
        return " ".join(self._parts[name] for name in _ORDER if name in self._parts)


def _offer_basics(row: _Row, moment: Moment) -> None:
    """Offer what stands in the narrowest line, the most important first."""
    state = moment.status.state
    if state.is_terminal:
        row.offer("state", state.value)
    row.offer("count", _count(moment.status))
    row.offer("state", state.value)
    row.offer("label", moment.label)
    row.offer("queue", _queue(moment.status))


def _offer_times(row: _Row, moment: Moment) -> None:
    if moment.left is not None:
        row.offer("left", f"-{figures.clock(moment.left)}")
    if moment.status.started_at:
        row.offer("elapsed", figures.clock(moment.elapsed))


def _count(status: Status) -> str:
    if isinstance(status.step, (int, float)):
        return figures.count(status.step, status.total)
    return ""


def _rate(moment: Moment) -> str:
    elapsed = moment.status.elapsed  # at the last report: since then there was no step
    if elapsed is None or elapsed < 1:  # too early to say
        return ""
    return figures.rate(moment.status.step, elapsed)


def _how_far(status: Status) -> str:
    """Return the shortest that can be said."""
    far = _percent(status).strip() or _count(status)
    return far if far and status.state is State.RUNNING else status.state.value


def _queue(status: Status) -> str:
    return f"number {status.queue_position} in the queue" if status.queue_position else ""


def _percent(status: Status) -> str:
    return "" if status.progress is None else f"{status.progress:4.0%}"


def _spinner(moment: Moment, look: Look) -> str:
    return look.spinner[moment.turn % len(look.spinner)] if spins(moment.status) else ""


def _bar(status: Status, look: Look, size: int) -> str:
    if status.progress is None:
        return ""
    full = round(size * status.progress)
    return look.full * full + look.empty * (size - full)


# What a job says


def _words(status: Status, room: int) -> str:
    """Return what a job says: its error, its message, or the end of its result so far."""
    if status.error is not None:
        return _one_line(status.error)
    if status.message is not None:
        return fit(_one_line(to_text(status.message)[:LONGEST_TEXT]), room)
    if status.result is None or status.state.is_terminal:
        return ""
    return fit_end(_one_line(_end_of(status.result)), room)


def _end_of(result: Any) -> str:
    if isinstance(result, Growth):
        result = result.since(max(0, len(result) - LONGEST_TEXT))  # without a copy of all of it
    return to_text(result)[-LONGEST_TEXT:]


def _one_line(text: str) -> str:
    return " ".join(text.split())
