"""``python -m longop.client URL [operation name=value ...]``: run an operation of a server.

``longop.client``, which is not imported here, hands over its `connect`.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Callable

from ..errors import LongOperationError
from . import command
from .terminal import clean

_DESCRIPTION = ("Run an operation of a server. Ctrl-C cancels the job; a second Ctrl-C leaves "
                "it to the server.")


def main(connect: Callable[[str, str], Any], arguments: list[str] | None, prog: str) -> int:
    """List the operations of a server, or run one; return the exit code.

    :param connect: returns a `longop.client.RemoteServer` for a URL and a token.
    :param prog: how the command was called, for its usage message.
    """
    options = _parse(arguments, prog)
    command.cancel_at_sigterm()
    try:
        server = connect(options.url, options.token)
        if options.operation is None:
            _list(server)
            return 0
        return _run(server, options)
    except KeyboardInterrupt:
        return command.CANCELLED
    except (LongOperationError, AttributeError, OSError, ValueError) as error:
        # What a server says must not control the terminal.
        message = " ".join(str(error).split())
        print("longop.client:", clean(message), file=sys.stderr)
        return command.NOT_STARTED


def _list(server: Any) -> None:
    for operation in server.operations:
        names = operation.parameters["properties"]
        words = [operation.name, *names, "-", *operation.description.split()]
        print(clean(" ".join(words)))


def _run(server: Any, options: argparse.Namespace) -> int:
    operation = getattr(server, options.operation)
    given = command.parse_parameters(options.parameters, operation.parameters)
    values = {name: value[0] if len(value) == 1 else value for name, value in given.items()}

    def start() -> Any:
        return operation.start(**values)

    def leave() -> None:
        """Kill nothing: the job is the server's."""

    return command.run(start, leave, command.claim_stdout(), options.json)


def _parse(arguments: list[str] | None, prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=prog, description=_DESCRIPTION,
                                     epilog=command.EXIT_CODES_HELP)
    parser.add_argument("url", help="the address that the server has printed")
    parser.add_argument("operation", nargs="?",
                        help="name of the operation to run (default: list all of them)")
    command.add_arguments(parser)
    parser.add_argument("--token", default=os.environ.get("LONGOP_TOKEN", ""),
                        help="token of the server, if it is not in the address (default: "
                             "$LONGOP_TOKEN)")
    return parser.parse_intermixed_args(arguments)
