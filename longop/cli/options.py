"""The options that commands share: how an operation runs, on top of what its code says."""

from __future__ import annotations

import argparse
import os
from typing import Any, Iterable

from .. import wings
from ..operation import WHEN_BUSY, LongOperation

TARGET_HELP = "package.module, module:name or path/to/file.py[:name]"

#: What ``add_argument`` takes for each option, by the name of the `LongOperation` option.
_OPTIONS: dict[str, dict[str, Any]] = {
    "limit": {"type": int, "metavar": "N",
              "help": "how many jobs of an operation may run at once (default: 1)"},
    "when_busy": {"choices": WHEN_BUSY,
                  "help": "what a start does if that many run (default: queue)"},
    "executor": {"choices": ("thread", "process"),
                 "help": "where jobs run (default: thread); only a process can be killed"},
    "timeout": {"type": float, "metavar": "SECONDS",
                "help": "how long a job may run (default: any time)"},
    "stall_timeout": {"type": float, "metavar": "SECONDS",
                      "help": "how long a job may run without a report (default: any time)"},
    "grace": {"type": float, "metavar": "SECONDS",
              "help": "how long a job may take to stop before the next means is tried, such "
                      "as a signal to its process (default: 2)"},
    # None if it is not given: then the code decides.
    "show_tracebacks": {"action": "store_true", "default": None,
                        "help": "end the log of a job that fails with the traceback, which "
                                "tells clients about files and code here"},
    # Absolute, because a target may change the working directory.
    "history": {"metavar": "FILE", "type": os.path.abspath,
                "help": "an sqlite3 file that remembers finished jobs (default: memory)"},
    "requeue": {"action": "store_true",
                "help": "with --history: start the jobs that were queued when the last server "
                        "ended"},
    "history_rate": {"type": float, "metavar": "BYTES",
                     "help": "with --history: how many bytes a second the partial results of "
                             "running jobs may write, on average (default: 64000)"},
}
ALL = tuple(_OPTIONS)
_OF_HISTORY = ("requeue", "history_rate")


def add(parser: argparse.ArgumentParser, names: Iterable[str] = ALL) -> None:
    """Add options to a parser, in a group of their own. None of them has a default."""
    group = parser.add_argument_group("how jobs run (overrides what the code says)")
    for name in names:
        group.add_argument("--" + name.replace("_", "-"), **_OPTIONS[name])


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with the parser's error if options contradict each other."""
    for name in _OF_HISTORY:
        if getattr(options, name) and not options.history:
            parser.error(f"--{name.replace('_', '-')} needs --history")


def override(operations: Iterable[LongOperation],
             options: argparse.Namespace) -> list[LongOperation]:
    """Return the operations with the options that were given.

    Raises ``ValueError`` for a value that does not fit, and `LongOperationError` if the
    history cannot be used.
    """
    changes = _changes(options)
    return [operation.replace(**changes) for operation in operations]


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that were given, by the name that `LongOperation.replace` knows."""
    given = {name: value for name, value in vars(options).items()
             if name in _OPTIONS and value is not None}
    requeue = given.pop("requeue", False)
    rate = given.pop("history_rate", None)
    if "history" in given:
        archive: Any = wings.require("archive", "--history")  # which loads sqlite3
        more = {} if rate is None else {"rate": rate}
        given["history"] = archive.FileHistory(given["history"], requeue=requeue, **more)
    return given
