"""``python -m longop``: one command in front of the others, which are found by their names.

    longop work.py        the same as  longop serve work.py
    longop run work.py    the same as  python -m longop.run work.py

It is also what a zip made with ``python3 -m zipapp FOLDER -m longop.__main__:main`` runs.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

from . import wings
from .errors import LongOperationError
from .wings import __version__

WRONG_USAGE = 2  # an exit code, as argparse has it

#: The module of each command. Its ``main(arguments, prog=...)`` returns the exit code.
_COMMANDS = {
    "serve": "serve.__main__",
    "run": "run.__main__",
    "client": "client",
    "codeproject": "codeproject.__main__",
    "mcp": "mcp.__main__",
}
_HELP = """\
usage: {prog} COMMAND ...
       {prog} TARGET ...

Start, watch and really cancel functions that report through a callback.

commands:
  serve [TARGET ...]       serve operations over HTTP, and on a page
  run TARGET [name=value]  run one operation here, and show its progress
  client URL [OPERATION]   list or run the operations of a server
  codeproject TARGET       run as a module of CodeProject.AI Server
  mcp TARGET ...           offer operations to agents, over the Model Context Protocol

A TARGET is package.module, module:name or path/to/file.py[:name].
Without a command it is served. {prog} COMMAND --help tells more.

examples:
  {prog} work.py
  {prog} serve work.py:train --executor process --history jobs.sqlite3
  {prog} run work.py:train epochs=10
  {prog} client http://127.0.0.1:32168/

options:
  --version   print the version
  -h, --help  print this help
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code.

    Without `arguments`, take those of the command line and exit with the code: the
    ``__main__.py`` that zipapp writes calls this, and ignores what it returns.
    """
    if arguments is None:
        sys.exit(main(sys.argv[1:]))
    _prepare_streams()
    prog = _program()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_HELP.format(prog=prog), end="")
        return 0
    if arguments[0] == "--version":
        print(f"longop {__version__}")
        return 0
    _add_working_folder()
    try:
        command, rest = _choose(arguments)
        module = _load(command, f"{prog} {command}")
    except LongOperationError as error:
        print(f"longop: {error}", file=sys.stderr)
        return WRONG_USAGE
    code: int = module.main(rest, prog=f"{prog} {command}")
    return code


def _prepare_streams() -> None:
    """Do what each command does first, also in a copy where only the commands are missing."""
    streams: Any = wings.find("cli.streams")
    if streams is not None:
        streams.prepare_streams()


def _program() -> str:
    """Return how this was called, for usage messages."""
    called = os.path.basename(sys.argv[0])
    if called == "__main__.py":
        return "python -m longop"
    if called.endswith(".pyz"):
        return f"python {called}"
    return "longop"


def _add_working_folder() -> None:
    """Let a TARGET be a module in the working folder, however this was called.

    ``python -m`` does that by itself; a zip and an installed command do not. In isolated mode
    Python does not do it, and neither does this.
    """
    folder = os.getcwd()
    is_isolated = sys.flags.isolated or getattr(sys.flags, "safe_path", False)  # since 3.11
    if not is_isolated and "" not in sys.path and folder not in sys.path:
        sys.path.insert(0, folder)


def _choose(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the command and what is for it; raise `LongOperationError` if there is none."""
    first = arguments[0]
    if first in _COMMANDS:
        return first, arguments[1:]
    # A single word is most likely a misspelled command. Everything else is for `serve`, which
    # says what is wrong with it.
    if first.isidentifier() and importlib.util.find_spec(first) is None:
        raise LongOperationError(
            f"there is no command {first} (there are {', '.join(_COMMANDS)}), and no target "
            f"{first} (a target is package.module, module:name or path/to/file.py)")
    return "serve", arguments


def _load(command: str, called: str) -> ModuleType:
    """Import a command; raise `LongOperationError` if a part of it is not in this copy."""
    try:
        return wings.require(_COMMANDS[command], called)
    except ModuleNotFoundError as error:  # of what the command imports in turn
        if error.name is None or not error.name.startswith(f"{__package__}."):
            raise
        raise LongOperationError(f"{called} needs {error.name}, which is not in this copy of "
                                 "longop") from error


if __name__ == "__main__":
    main()
