"""A job in a terminal: one line that shows its progress until it has ended.

    follower's thread ── job.updates() ─▶ latest status ─▶ main thread, ten times a second

The same for a `Job` and for one of `client`'s. Where the output is not a terminal, it is plain
lines: one for each state, and one a second.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import IO, Iterator, Protocol
from unicodedata import combining, east_asian_width

from ..values.jsontext import dumps, to_text
from ..status import State, Status

PERIOD = 0.1  # seconds between two looks at a job
SLOW = 1.0  # seconds between two lines in a pipe, and between two looks at a silent job
ECHO = 3  # columns left free, because a terminal echoes Ctrl-C as ^C there
UNKNOWN_WIDTH = 80  # columns of what does not tell how wide it is
BAR = 30  # columns of the bar at most
BESIDE_BAR = 48  # columns that the rest of the line needs beside a bar
SHORTEST_BAR = 5
LONGEST_TEXT = 500  # characters of a message or a result that are looked at

_COLOURS = {State.COMPLETED: "32", State.FAILED: "31"}  # green and red
_OTHER_COLOUR = "33"  # yellow: cancelled or interrupted


class Watchable(Protocol):
    """What can be shown: a `Job` here, or a `client.RemoteJob`."""

    def status(self) -> Status:
        """Return a snapshot."""
        ...

    def updates(self) -> Iterator[Status]:
        """Yield the status now, and at each change until the end."""
        ...


def progress(job: Watchable, file: IO[str] | None = None, json: bool = False) -> Status:
    """Show a job until it has ended; return its last status.

    :param file: where to, instead of standard error.
    :param json: show each status as a line of JSON instead.

    Ctrl-C raises ``KeyboardInterrupt`` as usual; the job goes on.
    """
    line = _Line(sys.stderr if file is None else file, json)
    follower = _Follower(job)
    follower.start()
    while not follower.ended.is_set():
        line.show(follower.latest)
        # With a timeout, because on Windows Ctrl-C does not end a wait without one.
        follower.ended.wait(PERIOD)
    if follower.error is not None:
        raise follower.error
    line.show(follower.latest)
    return follower.latest


class _Follower(threading.Thread):
    """Keeps the latest status of a job: a thread, because waiting for the next one blocks."""

    def __init__(self, job: Watchable) -> None:
        super().__init__(daemon=True)
        self.latest = job.status()
        self.error: Exception | None = None
        self.ended = threading.Event()  # set last: `latest` and `error` are final then
        self._job = job

    def run(self) -> None:
        """Follow the job to its end."""
        try:
            for status in self._job.updates():
                self.latest = status
                if not status.state.is_terminal:
                    time.sleep(PERIOD)  # more than that nobody sees
        except Exception as error:
            self.error = error
        self.ended.set()


class _Line:
    """Shows statuses in a file: on a terminal, each one in the place of the one before."""

    def __init__(self, file: IO[str] | None, json: bool) -> None:
        self._file = file
        self._json = json
        is_terminal = _is_terminal(file)
        # A notebook is not a terminal, but a line can be drawn over there too.
        self._live = not json and (is_terminal or "ipykernel" in sys.modules)
        self._colour = is_terminal and _wants_colour()
        self._encoding = getattr(file, "encoding", None) or "ascii"
        is_unicode = self._encoding.lower().startswith("utf")
        self._full, self._empty = ("█", "░") if is_unicode else ("#", ".")
        self._state: State | None = None  # what was shown last, and its version
        self._version = -1
        self._changed_at = 0.0  # when that status was new
        self._shown_at = 0.0  # when it was shown last
        self._width = float("inf")  # of the last line; at first anything may stand there

    def show(self, status: Status) -> None:
        """Show a status, if it is new or if it is time to show it again."""
        if self._file is None:
            return
        now = time.monotonic()
        is_new = status.state is not self._state or status.version != self._version
        if not self._is_wanted(status, is_new, now):
            return
        elapsed = status.elapsed or 0.0
        if is_new:
            self._changed_at = now
        else:  # a silent job takes its time too
            elapsed += now - self._changed_at
        self._state = status.state
        self._version = status.version
        self._shown_at = now
        self._write(status, elapsed, self._file)

    def _is_wanted(self, status: Status, is_new: bool, now: float) -> bool:
        is_due = now >= self._shown_at + SLOW
        if not is_new:
            return self._live and is_due
        if self._live or self._json:
            return True
        return is_due or status.state is not self._state

    def _write(self, status: Status, elapsed: float, file: IO[str]) -> None:
        if self._json:
            # A broken pipe is raised here: those who asked for JSON want to know.
            print(dumps(vars(status)), file=file, flush=True)
            return
        with contextlib.suppress(OSError):  # nobody reads it: that must not end the job
            if self._live:
                self._draw(status, elapsed, file)
            else:
                # With its line end in one piece: the function may print to the same file.
                print(self._text(status, elapsed, 0) + "\n", end="", file=file, flush=True)

    def _draw(self, status: Status, elapsed: float, file: IO[str]) -> None:
        """Draw the line over the one before, and blank out what is left of that."""
        columns = _columns(file) - ECHO
        text, width = _fit(self._text(status, elapsed, columns), columns)
        old_width = min(self._width, columns + ECHO - 1)  # in the last column it would wrap
        blanks = " " * int(old_width - width)
        self._width = width
        end = ""
        if status.state.is_terminal:
            end = "\n"
            if self._colour:
                text = f"\x1b[{_COLOURS.get(status.state, _OTHER_COLOUR)}m{text}\x1b[0m"
        print(f"\r{text}{blanks}{end}", end="", file=file, flush=True)

    # The text

    def _text(self, status: Status, elapsed: float, columns: int) -> str:
        """Return the line for a status; what it says comes last and may use what is left."""
        parts = [status.state.value, self._bar(status, columns), *_steps(status, elapsed)]
        if status.started_at:
            parts.append(_clock(elapsed))
        if status.eta is not None:
            parts.append(f"-{_clock(status.eta)}")
        if status.queue_position:
            parts.append(f"number {status.queue_position} in the queue")
        line = _join(parts)
        return clean(_join([line, _words(status, columns - len(line) - 1)]), self._encoding)

    def _bar(self, status: Status, columns: int) -> str:
        """Return the percentage, and a bar if there is room for one."""
        if status.progress is None:
            return ""
        percent = f"{status.progress:4.0%}"
        size = min(BAR, columns - BESIDE_BAR)
        if size < SHORTEST_BAR:
            return percent
        full = round(size * status.progress)
        return f"{percent} {self._full * full}{self._empty * (size - full)}"


def _steps(status: Status, elapsed: float) -> list[str]:
    """Return the step, the total and the rate, as far as they are known."""
    if not isinstance(status.step, (int, float)):
        return []
    step = to_text(status.step)
    if status.total is not None:
        step += f"/{to_text(status.total)}"
    if elapsed < 1:
        return [step]
    try:
        return [step, f"{status.step / elapsed:.3g}/s"]
    except OverflowError:  # a whole number that no float can be
        return [step]


def _words(status: Status, room: int) -> str:
    """Return what a job says: its error, its message, or the end of its result so far."""
    said = status.error or status.message
    if said is not None:
        return _one_line(to_text(said)[:LONGEST_TEXT])
    if status.result is None or status.state.is_terminal:
        return ""
    text = _one_line(to_text(status.result)[-LONGEST_TEXT:])
    return _fit_end(text, room) if room > 0 else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _join(parts: list[str]) -> str:
    return " ".join(part for part in parts if part)


def clean(text: str, encoding: str = "utf-8") -> str:
    """Return a text without control characters, as far as an encoding can express it."""
    printable = "".join(char for char in text if char.isprintable())
    return printable.encode(encoding, "replace").decode(encoding)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}"


# Columns


def _fit(text: str, columns: int) -> tuple[str, int]:
    """Return the part of a text that fits into some columns, and how many it takes."""
    width = 0
    for place, char in enumerate(text):
        if width + _width(char) > columns:
            return text[:place], width
        width += _width(char)
    return text, width


def _fit_end(text: str, columns: int) -> str:
    """Return the end of a text that fits into some columns."""
    fitting, _ = _fit(text[::-1], columns)
    return fitting[::-1]


def _width(char: str) -> int:
    """Return how many columns a character takes in a terminal."""
    if combining(char):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def _columns(file: IO[str]) -> int:
    try:
        columns = os.get_terminal_size(file.fileno()).columns
    except (AttributeError, ValueError, OSError):  # not a terminal, or not a file
        return UNKNOWN_WIDTH
    return columns or UNKNOWN_WIDTH


def _is_terminal(file: IO[str] | None) -> bool:
    # A notebook's stream, or a user's own, may have no such method.
    isatty = getattr(file, "isatty", None)
    return bool(isatty and isatty())


def _wants_colour() -> bool:
    return (not os.environ.get("NO_COLOR")  # https://no-color.org
            and os.environ.get("TERM") != "dumb" and os.name != "nt")
