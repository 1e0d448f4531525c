"""``python -m longop.run TARGET [name=value ...]``: run one job here, and show it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from io import TextIOWrapper
from typing import Iterator

from ..cli import command, options as job_options
from ..cli.parameters import columns_of_help, entry, page
from ..cli.streams import may_go_unread, prepare_streams
from ..cli.target import load
from ..errors import LongOperationError
from ..functions import printed
from ..operation import LongOperation, close_all

_DESCRIPTION = ("Run a function that takes long. Its result goes to standard output, "
                "everything else to standard error. Ctrl-C cancels the job; a second Ctrl-C "
                "kills it.")
_OPTIONS = ("executor", "timeout", "stall_timeout", "grace")


def main(arguments: list[str] | None = None, prog: str = "python -m longop.run") -> int:
    """Run one job; return 0, 1 if it failed, 2 if it could not start, 130 if it was cancelled.

    :param prog: how the command was called, for its usage message.
    """
    prepare_streams()
    try:
        return _show(_parse(arguments, prog), prog)
    finally:
        printed.release()


def _show(options: argparse.Namespace, prog: str) -> int:
    """Show what TARGET names, or run it; return the exit code."""
    command.cancel_at_sigterm()
    result = command.claim_stdout()
    start = os.getcwd()  # the target may change the working directory
    try:
        if options.help:
            _print_help(options.target, prog, result)
            return 0
        operation = _load(options)
        try:
            return _run(operation, options, start, result)
        finally:
            operation.close()
    except (LongOperationError, ValueError, OSError) as error:
        print(f"longop.run: {error}", file=sys.stderr)
        return command.NOT_STARTED
    except KeyboardInterrupt:
        return command.CANCELLED


def _print_help(target: str, prog: str, result: TextIOWrapper) -> None:
    """Print what TARGET names, with the parameters."""
    operations = load(target)
    try:
        with may_go_unread(), result:
            print(*_help_of(operations, f"{prog} {target}"), sep="\n", file=result)
    finally:
        close_all(operations)  # an adapter has begun, and may have threads


def _help_of(operations: list[LongOperation], command_line: str) -> Iterator[str]:
    """Yield the lines of the help: a page for one operation, or an entry for each."""
    columns = columns_of_help()
    if len(operations) == 1:
        [operation] = operations
        yield from page(f"{command_line} [options] [name=value ...]", operation.documentation,
                        operation.signature.schema(), columns)
        return
    yield f"usage: {command_line}:OPERATION [options] [name=value ...]"
    for operation in operations:
        yield ""
        yield from entry(operation.name, operation.description, operation.signature.schema(),
                         columns)


def _load(options: argparse.Namespace) -> LongOperation:
    """Return the operation that TARGET names, with the options that were given."""
    found = load(options.target)
    # After the import, because the module may set up logging itself.
    logging.basicConfig(format="%(message)s")
    try:
        return _choose(found, options)
    except (LongOperationError, ValueError):
        close_all(found)  # an adapter has begun, and may have threads
        raise


def _choose(found: list[LongOperation], options: argparse.Namespace) -> LongOperation:
    """Return the only operation, with the options that were given."""
    if len(found) > 1:
        known = ", ".join(operation.name for operation in found)
        raise LongOperationError(f"{options.target} has several operations: name one of "
                                 f"{known}, such as {options.target}:{found[0].name}")
    [operation] = job_options.override(found, options)
    return operation


def _run(operation: LongOperation, options: argparse.Namespace, start: str,
         result: TextIOWrapper) -> int:
    signature = operation.signature
    texts = command.parse_parameters(options.parameters, signature.schema(), start)
    values = signature.parse(texts)
    return command.run(lambda: operation.start(**values), operation.kill, result, options.json)


def _parse(arguments: list[str] | None, prog: str) -> argparse.Namespace:
    parser = command.make_parser(prog, _DESCRIPTION, "TARGET")
    parser.add_argument("target", nargs="?", metavar="TARGET", help=job_options.TARGET_HELP)
    command.add_arguments(parser)
    job_options.add(parser, _OPTIONS)
    options = parser.parse_intermixed_args(arguments)
    if options.target is None:
        if not options.help:
            parser.error("the following arguments are required: TARGET")
        parser.print_help()
        parser.exit()
    return options


if __name__ == "__main__":
    sys.exit(main())
