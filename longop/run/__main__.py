"""``python -m longop.run TARGET [name=value ...]``: run one job here, and show it."""

from __future__ import annotations

import argparse
import logging
import sys
from io import TextIOWrapper

from ..cli import command, options as job_options
from ..cli.target import load
from ..errors import LongOperationError
from ..operation import LongOperation

_DESCRIPTION = ("Run a function that takes long. Its result goes to standard output, "
                "everything else to standard error. Ctrl-C cancels the job; a second Ctrl-C "
                "kills it.")
_OPTIONS = ("executor", "timeout", "stall_timeout", "grace")


def main(arguments: list[str] | None = None, prog: str = "python -m longop.run") -> int:
    """Run one job; return 0, 1 if it failed, 2 if it could not start, 130 if it was cancelled.

    :param prog: how the command was called, for its usage message.
    """
    options = _parse(arguments, prog)
    command.cancel_at_sigterm()
    result = command.claim_stdout()
    try:
        operation = _load(options)
        try:
            return _run(operation, options, result)
        finally:
            operation.close()
    except (LongOperationError, ValueError, OSError) as error:
        print(f"longop.run: {error}", file=sys.stderr)
        return command.NOT_STARTED
    except KeyboardInterrupt:
        return command.CANCELLED


def _load(options: argparse.Namespace) -> LongOperation:
    """Return the operation that TARGET names, with the options that were given."""
    found = load(options.target)
    # After the import, because the module may set up logging itself. On a terminal a message
    # begins a new line, because the progress stands in the current one.
    line_break = "\n" if sys.stderr.isatty() else ""
    logging.basicConfig(format=line_break + "%(message)s")
    if len(found) > 1:
        known = ", ".join(operation.name for operation in found)
        raise LongOperationError(f"{options.target} has several operations: name one of "
                                 f"{known}, such as {options.target}:{found[0].name}")
    [operation] = job_options.override(found, options)
    return operation


def _run(operation: LongOperation, options: argparse.Namespace, result: TextIOWrapper) -> int:
    signature = operation.signature
    texts = command.parse_parameters(options.parameters, signature.schema())
    values = signature.parse(texts)
    return command.run(lambda: operation.start(**values), operation.kill, result, options.json)


def _parse(arguments: list[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description=_DESCRIPTION,
                                     epilog=command.EXIT_CODES_HELP)
    parser.add_argument("target", metavar="TARGET", help=job_options.TARGET_HELP)
    command.add_arguments(parser)
    job_options.add(parser, _OPTIONS)
    return parser.parse_intermixed_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
