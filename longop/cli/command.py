"""A command that runs one job, here or on a server: its parameters, its output, Ctrl-C.

Standard output gets the result and nothing else. Everything that is printed meanwhile, by the
function too, goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from functools import lru_cache
from io import TextIOWrapper
from typing import IO, Any, Callable, Iterable, NoReturn

from ..functions import printed
from ..status import State, Status
from ..values.jsontext import dumps
from ..values.kinds import describes_file
from .follow import Watchable
from .signals import ENDING, end_with_window
from .streams import may_go_unread
from .terminal import progress_from

EXIT_CODES_HELP = "exit code: 0 completed, 1 failed, 2 could not start, 130 cancelled"
NOT_STARTED = 2
CANCELLED = 130  # as a shell reports what Ctrl-C has ended
_EXIT_CODES = {State.COMPLETED: 0, State.FAILED: 1}


def make_parser(prog: str, description: str, place: str) -> argparse.ArgumentParser:
    """Return the parser of such a command, for ``parse_intermixed_args``.

    ``--help`` is an option as the others: with an operation it tells about that.

    :param place: the arguments that name what is to run.
    """
    return argparse.ArgumentParser(
        prog=prog, usage=f"{prog} [options] {place} [name=value ...]",
        description=description, epilog=EXIT_CODES_HELP, add_help=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that each such command takes."""
    parser.add_argument("-h", "--help", action="store_true",
                        help="print this help, or the help of the operation that is named")
    parser.add_argument("parameters", nargs="*", metavar="name=value",
                        help="a parameter of the function; name=@path sends a file")
    parser.add_argument("--json", action="store_true",
                        help="print each status as a line of JSON to standard output")


def parse_parameters(texts: Iterable[str], schema: Any,
                     start: str = "") -> dict[str, list[Any]]:
    """Return the values of each parameter, as text, or as bytes where a file was named.

    :param schema: the JSON Schema of all parameters. It tells which of them take files.
    :param start: the folder that a file is meant from, if not from the working directory.

    Raises ``ValueError`` for a text that is not a parameter, and ``OSError`` for a file that
    cannot be read.
    """
    found: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r} is not a parameter: write name=value")
        given: Any = value
        if value.startswith("@") and describes_file(schema["properties"].get(name, {})):
            with open(os.path.join(start, value[1:]), "rb") as file:
                given = file.read()
        found.setdefault(name, []).append(given)
    return found


def claim_stdout() -> TextIOWrapper:
    """Return a file that writes to standard output, which from now on is standard error.

    So what a module, a function or a program that it starts prints is kept out of the result.
    """
    _open_missing_streams()
    sys.stdout.flush()
    if isinstance(sys.stdout, TextIOWrapper):
        # Standard error may be a pipe: without this, what is printed comes at the end. Before
        # the descriptor changes: PyPy looks where a file stands, which a pipe cannot tell.
        sys.stdout.reconfigure(line_buffering=True)
    result = open(os.dup(1), "w", encoding="utf-8", errors="replace")  # noqa: SIM115
    os.dup2(2, 1)
    if sys.stderr.isatty():
        # What worker processes print too is then written above the progress.
        printed.capture()
    return result


def _open_missing_streams() -> None:
    # If a stream was closed when Python started, the next file that is opened gets its number.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def cancel_at_sigterm() -> None:
    """Have SIGTERM, and Ctrl-Break, do what Ctrl-C does. To be called in the main thread."""
    for number in ENDING:
        if number != signal.SIGINT:  # a shell has it ignored for what runs in the background
            signal.signal(number, signal.default_int_handler)
    end_with_window()


def run(start: Callable[[], Watchable], kill: Callable[[], object], result: TextIOWrapper,
        json: bool) -> int:
    """Start a job, show it, and write its result; return the exit code.

    Ctrl-C cancels the job and waits for its end; a second one kills it and ends this process.

    :param start: starts the job; what it raises is raised here.
    :param kill: ends at once what can be ended.
    :param result: a file from `claim_stdout`.
    :param json: write each status as a line of JSON instead of the result.
    """
    try:
        status = _show(lru_cache(maxsize=None)(start), result if json else None)
    except KeyboardInterrupt:
        kill()
        _exit_now()
    with may_go_unread(), result:
        if not json:
            _write(status.result, result)
    return _EXIT_CODES.get(status.state, CANCELLED)


def _show(start: Callable[[], Watchable], json: IO[str] | None) -> Status:
    """Start a job and show it to its end; raise ``KeyboardInterrupt`` for a second Ctrl-C.

    :param start: starts the job; called again, it returns the same one.
    :param json: the file for lines of JSON, if they are wanted. If nobody reads them any more,
        the job is cancelled, and its end is shown on standard error.
    """
    if json is not None:
        with may_go_unread():
            return progress_from(start, file=json, json=True)
        start().cancel()
    return progress_from(start)


def _exit_now() -> NoReturn:
    """End the process without waiting for threads, which may run for ever."""
    os._exit(CANCELLED)


def _write(value: Any, file: TextIOWrapper) -> None:
    """Write a result: text and bytes as they are, everything else as JSON, None not at all."""
    if value is None:
        return
    if isinstance(value, bytes) and not file.isatty():
        file.buffer.write(value)
        return
    text = value if isinstance(value, str) else dumps(value)
    if file.isatty():
        text = "".join(char for char in text if char.isprintable() or char in "\n\t")
    file.write(f"{text}\n")
