"""What shows jobs that are followed: lines that are drawn in place, or plain ones, or JSON.

A view is shown the jobs ten times a second, and tells what is new.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import IO, Any, Sequence

from ..functions import printed
from ..status import State, Status
from ..values.growth import settled
from ..values.jsontext import dumps
from . import line
from .drawing import Drawing
from .follow import SPIN, Followed, FollowedJobs
from .surface import Surface, surface_of

SLOW = 1.0  # seconds between two lines in a pipe, and between two draws of a silent job

_COLOURS = {State.COMPLETED: "32", State.FAILED: "31"}  # green and red
_OTHER_COLOUR = "33"  # yellow: cancelled or interrupted


class View:
    """Shows nothing: a program without a standard error, as under pythonw."""

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was found."""

    def show(self, live: Sequence[Followed]) -> None:
        """Show what is new of the jobs that were not over at the last look."""


def view_of(file: IO[str] | None, json: bool, shown: FollowedJobs) -> View:
    """Return what shows jobs in a file."""
    file = printed.plain(file)
    labels = _Labels(shown)
    if file is None:
        return View()
    if json:
        return _JsonLines(file, labels)
    surface = surface_of(file)
    if surface is None:
        return _Lines(file, labels)
    return _Live(file, labels, surface)


class _Lines(View):
    """Plain lines, for a pipe: one for each state of a job, and one a second."""

    def __init__(self, file: IO[str], labels: _Labels) -> None:
        self._file = file
        self._look = line.Look.of(file)
        self._labels = labels
        self._shown: dict[str, Status] = {}  # by id, what was shown last
        self._shown_at: dict[str, float] = {}

    def show(self, live: Sequence[Followed]) -> None:
        """Print a line for each job of which something is new."""
        for one in live:
            if self._is_wanted(one.latest, self._shown.get(one.latest.id)):
                self._shown[one.latest.id] = one.latest
                self._shown_at[one.latest.id] = time.monotonic()
                self._print(one)

    def _is_wanted(self, status: Status, before: Status | None) -> bool:
        if before is None or status.state is not before.state:
            return True
        is_due = time.monotonic() >= self._shown_at[status.id] + SLOW
        return is_due and status.version != before.version

    def _print(self, one: Followed) -> None:
        text = line.plain(one.moment(time.monotonic(), self._labels.of(one)), self._look)
        # That nobody reads it, or that it is closed, must not end the job.
        with contextlib.suppress(OSError, ValueError):
            # With its line end in one piece: the function may print to the same file.
            print(text + "\n", end="", file=self._file, flush=True)


class _JsonLines(_Lines):
    """Each status as a line of JSON."""

    def _is_wanted(self, status: Status, before: Status | None) -> bool:
        return before is None or status.version != before.version

    def _print(self, one: Followed) -> None:
        status = one.latest.replace(result=settled(one.latest.result))
        # A broken pipe is raised here: those who asked for JSON want to know.
        print(dumps(vars(status)), file=self._file, flush=True)


class _Live(View):
    """A line for each job, drawn in place, and the ends of others above them."""

    def __init__(self, file: IO[str], labels: _Labels, surface: Surface) -> None:
        self._look = line.Look.of(file)
        self._labels = labels
        self._surface = surface
        self._drawing = Drawing(surface)
        self._has_colours = surface.has_colours and not os.environ.get("NO_COLOR")
        self._shown: list[tuple[Any, ...]] = []  # what stands: see `_mark_of`

    def __enter__(self) -> View:
        self._drawing.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._drawing.__exit__(*error)

    def show(self, live: Sequence[Followed]) -> None:
        """Draw the lines again, if something is new or if it is time to."""
        now = time.monotonic()
        columns = self._surface.columns
        marks = [(_mark_of(one, now), columns) for one in live]
        if marks == self._shown and not self._drawing.has_prints:
            return
        self._shown = marks
        running = [one for one in live if not one.is_over]
        if not running:
            self._drawing.finish_prints()
        for one in live:
            if one.is_over:
                self._drawing.put(self._end_of(one, now, columns))
        self._drawing.draw(self._lines(running, now, columns))

    def _lines(self, running: Sequence[Followed], now: float, columns: int) -> list[str]:
        moments = [one.moment(now, self._labels.of(one)) for one in running]
        most = self._surface.most_lines
        rest: list[str] = []
        if len(moments) > most:  # the last line is for those that have none
            rest = [line.together(moments[most - 1:], self._look, columns)]
            del moments[most - 1:]
        return [line.live(moment, self._look, columns) for moment in moments] + rest

    def _end_of(self, one: Followed, now: float, columns: int) -> list[str]:
        """Return the line of a job's end, and its error below if that is long."""
        moment = one.moment(now, self._labels.of(one))
        text = line.live(moment, self._look, columns)
        if self._has_colours:
            colour = _COLOURS.get(one.latest.state, _OTHER_COLOUR)
            text = f"\x1b[{colour}m{text}\x1b[0m"
        return [text, *line.below(moment, self._look, columns)]


def _mark_of(one: Followed, now: float) -> tuple[Any, ...]:
    """Return what changes when the line of a job has to be drawn again."""
    status = one.latest
    period = SPIN if line.spins(status) else SLOW
    return status.id, status.state, status.version, int((now - one.changed_at) / period)


class _Labels:
    """Tells jobs apart where there are several: ``train #2``."""

    def __init__(self, shown: FollowedJobs) -> None:
        self._is_single = shown.is_single

    def of(self, one: Followed) -> str:
        """Return the label of a job."""
        return "" if self._is_single else f"{one.latest.operation} #{one.number}"
