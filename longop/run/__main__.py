"""``python -m longop.run TARGET [name=value ...]``: run an operation here, and show how it goes."""

from __future__ import annotations

import argparse
import logging
import signal
import sys

from ..cli import terminal
from ..codeproject.commands import close_modules
from ..errors import LongOperationError
from ..cli.target import load


def main(arguments: list[str] | None = None) -> int:
    """Run it; return 0, 1 if it failed, 2 if it could not be started, 130 if it was cancelled."""
    parser = argparse.ArgumentParser(
        prog="python -m longop.run", description="Run a function that takes long. Its result goes "
        "to standard output, all else to standard error. Ctrl-C cancels it, twice kills it.",
        epilog=terminal.CODES)
    parser.add_argument("target", metavar="TARGET",
                        help="package.module, module:name or path/to/file.py[:name]")
    terminal.arguments(parser)
    parser.add_argument("--executor", choices=("thread", "process"), default="thread",
                        help="where it runs; a process can be killed")
    for name, what in (("timeout", "how many it may run"), ("grace", "how many it has to stop (2)"),
                       ("stall-timeout", "how many it may run without a report")):
        parser.add_argument(f"--{name}", type=float, metavar="SECONDS", help=what)
    options = parser.parse_intermixed_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it cancels, too
    result = terminal.output()
    try:
        operation, *others = load(options.target)
        # Behind a bar a message begins a line of its own.
        logging.basicConfig(format=("\n" if sys.stderr.isatty() else "") + "%(message)s")
        if others:
            known = ", ".join(one.name for one in (operation, *others))
            raise LongOperationError(f"{options.target} has several operations: name one of "
                                     f"{known}, such as {options.target}:{operation.name}")
        changes = {name: getattr(options, name) for name in (
            "executor", "timeout", "stall_timeout", "grace") if getattr(options, name) is not None}
        operation = operation.replace(**changes)
        schema = operation.signature.schema()
        values = operation.signature.parse(terminal.parse(options.parameters, schema))
        try:
            return terminal.run(result, lambda: operation.start(**values),
                                operation.kill, options.json)
        finally:
            operation.close()
            close_modules([operation])
    except (LongOperationError, ValueError, OSError) as error:
        print(f"longop.run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
