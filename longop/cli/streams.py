"""The standard streams of the commands."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import sys
from io import TextIOWrapper
from typing import Iterator


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


def _is_unread(error: OSError) -> bool:
    """Return whether an error of a write says that nobody reads any more."""
    # Windows calls it an invalid argument (https://bugs.python.org/issue35754).
    is_invalid = sys.platform == "win32" and error.errno == errno.EINVAL
    return is_invalid or error.errno == errno.EPIPE


@contextlib.contextmanager
def may_go_unread() -> Iterator[None]:
    """Leave off as soon as nobody reads: the reader, such as ``head``, has seen enough."""
    try:
        yield
    except OSError as error:
        if not _is_unread(error):
            raise


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
        except ValueError:  # it is closed
            pass
        except OSError as error:
            if _is_unread(error):  # and not a full disk, which Python tells
                _send_to_nowhere(stream)


def _send_to_nowhere(stream: TextIOWrapper) -> None:
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())
