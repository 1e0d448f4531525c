"""The standard streams of the commands."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from io import TextIOWrapper


def prepare_streams() -> None:
    r"""Have all be printed that can be, and nothing be an error that nobody reads.

    What standard output and error cannot encode is escaped, as in ``\u6570``: a redirected
    stream on Windows and a terminal in the POSIX locale know few characters, and names may have
    any. Each command calls this first.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not None, and not what a caller has put there
            stream.reconfigure(errors="backslashreplace")
    atexit.unregister(_let_go)
    atexit.register(_let_go)


def _let_go() -> None:
    """Drop what is still to be written to a reader that has gone, such as ``head``.

    Python would try it once more as it ends, complain, and exit with 120 (library/signal,
    "Note on SIGPIPE").
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, TextIOWrapper):
            continue
        try:
            stream.flush()
        except BrokenPipeError:
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), stream.fileno())
        except (OSError, ValueError):  # a full disk, which Python tells; or it is closed
            pass
