"""``python -m longop.client URL [operation name=value ...]``: run an operation of a server.

``longop.client``, which is not imported here, hands over its `connect`.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Callable, Iterable

from ..errors import LongOperationError
from . import command
from .columns import clean
from .parameters import columns_of_help, entry, page
from .streams import may_go_unread, prepare_streams

_DESCRIPTION = ("Run an operation of a server. Ctrl-C cancels the job; a second Ctrl-C leaves "
                "it to the server.")


def main(connect: Callable[[str, str], Any], arguments: list[str] | None, prog: str) -> int:
    """List the operations of a server, or run one; return the exit code.

    :param connect: returns a `longop.client.RemoteServer` for a URL and a token.
    :param prog: how the command was called, for its usage message.
    """
    prepare_streams()
    options = _parse(arguments, prog)
    command.cancel_at_sigterm()
    try:
        server = connect(options.url, options.token)
        if options.operation is None:
            _list(server.operations)
            return 0
        operation = getattr(server, options.operation)
        if options.help:
            url, _, _ = options.url.partition("?")  # without the token
            _help(operation, f"{prog} {url} {operation.name}")
            return 0
        return _run(operation, options)
    except KeyboardInterrupt:
        return command.CANCELLED
    except (LongOperationError, AttributeError, OSError, ValueError) as error:
        # What a server says must not control the terminal.
        message = " ".join(str(error).split())
        print("longop.client:", clean(message), file=sys.stderr)
        return command.NOT_STARTED


def _list(operations: Iterable[Any]) -> None:
    columns = columns_of_help()
    with may_go_unread():
        for number, operation in enumerate(operations):
            if number:
                print()
            print(*entry(operation.name, operation.description, operation.parameters, columns),
                  sep="\n")


def _help(operation: Any, command_line: str) -> None:
    print(*page(f"{command_line} [options] [name=value ...]", operation.documentation,
                operation.parameters, columns_of_help()), sep="\n")


def _run(operation: Any, options: argparse.Namespace) -> int:
    given = command.parse_parameters(options.parameters, operation.parameters)
    values = {name: value[0] if len(value) == 1 else value for name, value in given.items()}

    def start() -> Any:
        return operation.start(**values)

    def leave() -> None:
        """Kill nothing: the job is the server's."""

    return command.run(start, leave, command.claim_stdout(), options.json)


def _parse(arguments: list[str] | None, prog: str) -> argparse.Namespace:
    parser = command.make_parser(prog, _DESCRIPTION, "URL [OPERATION]")
    parser.add_argument("url", nargs="?", metavar="URL",
                        help="the address that the server has printed")
    parser.add_argument("operation", nargs="?", metavar="OPERATION",
                        help="name of the operation to run (default: list all of them)")
    command.add_arguments(parser)
    parser.add_argument("--token", default=os.environ.get("LONGOP_TOKEN", ""),
                        help="token of the server, if it is not in the address (default: "
                             "$LONGOP_TOKEN)")
    options = parser.parse_intermixed_args(arguments)
    if options.url is None and not options.help:
        parser.error("the following arguments are required: URL")
    if options.help and options.operation is None:
        parser.print_help()
        parser.exit()
    return options
