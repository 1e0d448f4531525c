"""``python -m longop.mcp TARGET``: operations as tools for agents, over stdio.

Knows the command line, and which streams are whose; what is said over them is `stdio`'s.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys

from ..cli import command, options as job_options
from ..cli.streams import prepare_streams
from ..cli.target import load
from ..errors import LongOperationError
from ..operation import LongOperation, close_all
from ..web.limits import Limits
from .server import TASK_AFTER, Server
from .stdio import Stdio

_DESCRIPTION = """\
Offer functions that take long as tools of the Model Context Protocol, over stdin and stdout.
An agent starts them, sees their progress, and a cancel really stops them. For HTTP use
python -m longop.serve, which has the same tools at /mcp."""
_EXAMPLES = """\
examples:
  {prog} work.py
  {prog} work.py:train --executor process --history jobs.sqlite3
  {prog} work.py --as-jobs           for clients that end a call after some seconds"""


def main(arguments: list[str] | None = None, prog: str = "python -m longop.mcp") -> int:
    """Serve until stdin ends; return 0, 2 if it could not start, 130 after Ctrl-C or SIGTERM.

    :param prog: how the command was called, for its usage message.
    """
    prepare_streams()
    options = _parse(arguments, prog)
    command.cancel_at_sigterm()
    # First of all: what is imported may print, too.
    sink = command.claim_stdout()
    source = _claim_stdin()
    if os.isatty(source):
        print("This speaks the Model Context Protocol: a client starts this command.",
              file=sys.stderr, flush=True)
    operations: list[LongOperation] = []
    try:
        operations = _load(options)
        server = Server(operations, options.as_jobs, options.task_after)
        limits = Limits()
        Stdio(server, source, sink.buffer, limits.max_body, limits.max_depth).serve()
        return 0
    except (LongOperationError, ValueError, OSError) as error:
        print(f"longop.mcp: {error}", file=sys.stderr)
        return command.NOT_STARTED
    except KeyboardInterrupt:
        return command.CANCELLED
    finally:
        _end(operations)
        with contextlib.suppress(OSError):  # nobody reads it
            sink.close()


def _load(options: argparse.Namespace) -> list[LongOperation]:
    operations: list[LongOperation] = []
    for target in options.target:
        operations += load(target)
    # After the import, because a module may set up logging itself.
    logging.basicConfig(format="%(message)s")
    return job_options.override(operations, options)


def _claim_stdin() -> int:
    """Return a file descriptor of what was stdin, which is empty from now on.

    Otherwise a function that asks for input, or a program that it starts, would take messages.
    """
    source = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return source


def _end(operations: list[LongOperation]) -> None:
    """End the jobs; Ctrl-C or SIGTERM meanwhile ends them without any grace."""
    try:
        close_all(operations)
    except KeyboardInterrupt:
        for operation in operations:
            operation.kill()
        os._exit(command.CANCELLED)  # a thread may run for ever


def _parse(arguments: list[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog, description=_DESCRIPTION, epilog=_EXAMPLES.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="+", metavar="TARGET", help=job_options.TARGET_HELP)
    parser.add_argument("--as-jobs", action="store_true",
                        help="offer start_NAME, status_NAME and cancel_NAME of each operation "
                             "instead of one tool: no call takes long")
    parser.add_argument("--task-after", type=float, default=TASK_AFTER, metavar="SECONDS",
                        help="when a call becomes a task, if the client takes tasks (default: "
                             "%(default)s)")
    job_options.add(parser)
    options = parser.parse_args(arguments)
    job_options.check(parser, options)
    return options


if __name__ == "__main__":
    sys.exit(main())
