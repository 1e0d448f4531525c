"""A job in a terminal: its progress on one line, its result on standard output.

The same for a `Job` and for one of `client`'s. In a pipe, where nobody looks, it is plain lines.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from io import TextIOWrapper
from typing import IO, Any, Callable
from unicodedata import combining, east_asian_width

from ..jsontext import dumps, to_text
from ..status import State, Status

PERIOD = 0.1  # seconds between two looks at a job
SLOW = 1.0  # ... between two lines in a pipe, and between two looks at one that is silent
EXIT_CODES = {State.COMPLETED: 0, State.FAILED: 1}  # else 130, as of what Ctrl-C has ended
CODES = "exit code: 0 completed, 1 failed, 2 could not start, 130 cancelled"
_COLOURS = {State.COMPLETED: "32", State.FAILED: "31"}


def progress(job: Any, file: IO[str] | None = None, json: bool = False) -> Status:
    """Show how a job goes on until it has ended; return its last status.

    :param file: where to, instead of standard error.
    :param json: show each status as a line of JSON instead.

    Ctrl-C raises ``KeyboardInterrupt``, as ever; the job goes on.
    """
    show = _Line(file or sys.stderr, json)
    latest: list[Any] = [job.status()]
    ended = threading.Event()

    def follow() -> None:
        try:
            for status in job.updates():
                latest[0] = status
                time.sleep(0 if status.state.is_terminal else PERIOD)
        except Exception as error:
            latest[0] = error
        ended.set()

    threading.Thread(target=follow, daemon=True).start()
    while not ended.is_set():
        show(latest[0])
        ended.wait(PERIOD)  # with a limit, for else Ctrl-C would not end it on Windows
    if isinstance(latest[0], Exception):
        raise latest[0]
    show(latest[0])
    return latest[0]  # type: ignore[no-any-return]


class _Line:
    """Shows a status, over the one before if that is a terminal."""

    def __init__(self, file: IO[str], json: bool) -> None:
        self._file, self._json = file, json
        is_terminal = getattr(file, "isatty", bool)()  # a notebook's, or one's own, may have none
        self._live = not json and (is_terminal or "ipykernel" in sys.modules)
        self._colour = (is_terminal and not os.environ.get("NO_COLOR") and os.name != "nt"
                        and os.environ.get("TERM") != "dumb")
        self._encoding = getattr(file, "encoding", None) or "ascii"
        self._blocks = "█░" if self._encoding.lower().startswith("utf") else "#."
        self._shown: Any = (None, -1)  # the state and the version
        self._at = self._drawn = 0.0  # when they were new, and when there was a line
        self._width = float("inf")  # of what may stand there, at first whatever it is

    def __call__(self, status: Any) -> None:
        if self._file is None or not isinstance(status, Status):
            return
        now, seen = time.monotonic(), (status.state, status.version)
        is_new, is_due = seen != self._shown, now >= self._drawn + SLOW
        # What is silent is shown with the time that it takes; a pipe has a line for each state.
        is_apt = self._live or self._json or is_due or seen[0] is not self._shown[0]
        if not (is_apt if is_new else self._live and is_due):
            return
        elapsed = (status.elapsed or 0.0) + (0.0 if is_new else now - self._at)
        self._shown, self._at, self._drawn = seen, now if is_new else self._at, now
        if self._json:
            print(dumps(vars(status)), file=self._file, flush=True)
            return
        with contextlib.suppress(OSError):  # that nobody reads it is no reason to end the job
            if self._live:
                self._draw(status, elapsed)
            else:
                # In one piece, for the function may print to the same file.
                print(self._text(status, elapsed, 0) + "\n", end="", file=self._file, flush=True)

    def _draw(self, status: Status, elapsed: float) -> None:
        columns = self._columns() - 3  # the rest is for the ^C that a terminal writes
        text, width = _fit(self._text(status, elapsed, columns), columns)
        blank = " " * int(min(self._width, columns + 2) - width)
        self._width = width
        ended = status.state.is_terminal
        colour = _COLOURS.get(status.state, "33") if ended and self._colour else ""
        text = f"\x1b[{colour}m{text}\x1b[0m" if colour else text
        end = "\n" if ended else ""
        print(f"\r{text}{blank}{end}", end="", file=self._file, flush=True)

    def _columns(self) -> int:
        with contextlib.suppress(AttributeError, ValueError, OSError):  # it is no terminal
            return os.get_terminal_size(self._file.fileno()).columns or 80  # 0 is unknown
        return 80

    def _text(self, status: Status, elapsed: float, columns: int) -> str:
        parts = [status.state.value]
        if status.progress is not None:
            parts.append(f"{status.progress:4.0%}")
            size = min(30, columns - 48)
            if size > 4:
                full = round(size * status.progress)
                parts.append(self._blocks[0] * full + self._blocks[1] * (size - full))
        if isinstance(status.step, (int, float)):
            of = "" if status.total is None else f"/{to_text(status.total)}"
            parts.append(f"{to_text(status.step)}{of}")
            with contextlib.suppress(OverflowError):
                if elapsed >= 1:
                    parts.append(f"{status.step / elapsed:.3g}/s")
        if status.started_at:
            parts.append(_clock(elapsed))
        if status.eta is not None:
            parts.append(f"-{_clock(status.eta)}")
        if status.queue_position:
            parts.append(f"number {status.queue_position} in the queue")
        said = status.error or status.message
        if said is None and status.result is not None and not status.state.is_terminal:
            said = " ".join(to_text(status.result)[-500:].split())
            room = columns - len(" ".join(parts)) - 1
            if room > 0:  # its end, which is where it grows
                said = _fit(said[::-1], room)[0][::-1]
        parts.append(" ".join(to_text("" if said is None else said)[:500].split()))
        return clean(" ".join(filter(None, parts)), self._encoding)


def clean(text: str, encoding: str = "utf-8") -> str:
    """Return a text without what controls a terminal, as an encoding can have it."""
    return "".join(filter(str.isprintable, text)).encode(encoding, "replace").decode(encoding)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _fit(text: str, columns: int) -> tuple[str, int]:
    """Return as much of a text as so many columns hold, and how many it takes."""
    width = 0
    for place, char in enumerate(text):
        wide = 0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1
        if width + wide > columns:
            return text[:place], width
        width += wide
    return text, width


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every command that runs a job takes."""
    parser.add_argument("parameters", nargs="*", metavar="name=value",
                        help="a parameter; of a file it is name=@path")
    parser.add_argument("--json", action="store_true",
                        help="a line of JSON for each status, on standard output")


def parse(texts: list[str], schema: Any) -> dict[str, list[Any]]:
    """Return parameters by name; raise ``ValueError`` or ``OSError`` for one that is not so."""
    found: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r} is no parameter: write name=value")
        data: Any = value
        if value.startswith("@") and "contentEncoding" in str(schema["properties"].get(name)):
            with open(value[1:], "rb") as file:
                data = file.read()
        found.setdefault(name, []).append(data)
    return found


def output() -> TextIOWrapper:
    """Return what writes to standard output.

    Whatever else does, a module that is imported, a function, what they start, writes to standard
    error from now on.
    """
    for name in "stdin", "stdout", "stderr":  # of one that is closed the next file has the place
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    sys.stdout.flush()
    result = open(os.dup(1), "w", encoding="utf-8", errors="replace")  # noqa: SIM115
    os.dup2(2, 1)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # else what is printed comes at the end
    return result


def run(result: TextIOWrapper, start: Callable[[], Any], kill: Callable[[], object],
        json: bool) -> int:
    """Start a job, show it, and write its result; return the exit code.

    Ctrl-C cancels the job and waits for its end; a second one kills it.
    """
    job = start()
    with contextlib.suppress(BrokenPipeError), result:  # of a reader who has seen enough
        try:
            status = _cancellable(job, result if json else None, json)
        except KeyboardInterrupt:
            kill()
            if os.isatty(2):
                os.write(2, b"\n")
            os._exit(130)
        if not json:
            _write(status.result, result)
    return EXIT_CODES.get(status.state, 130)


def _cancellable(job: Any, file: IO[str] | None, json: bool) -> Status:
    told = False
    while True:
        try:
            return progress(job, file, json)
        except BrokenPipeError:
            file, json = None, False
        except KeyboardInterrupt:
            if told:
                raise
            told = True
        job.cancel()


def _write(value: Any, result: TextIOWrapper) -> None:
    if isinstance(value, bytes) and not result.isatty():
        result.buffer.write(value)
    elif value is not None:
        text = value if isinstance(value, str) else dumps(value)
        if result.isatty():
            text = "".join(char for char in text if char.isprintable() or char in "\n\t")
        result.write(f"{text}\n")
