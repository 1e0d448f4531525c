"""``python -m longop.codeproject TARGET``: a module of CodeProject.AI Server, as which it starts it."""

from __future__ import annotations

import argparse
import sys

from ..cli.target import load
from ..errors import LongOperationError
from .adapter import Adapter, Functions
from .commands import modules_of
from .queue import Polling
from .sdk import ModuleRunner


def main(arguments: list[str] | None = None, adapter: ModuleRunner | None = None,
         prog: str = "python -m longop.codeproject") -> int:
    """Run a module until it is to quit, test it, or write a new one; return the exit code.

    :param prog: how the command was called, for its usage message.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if adapter is not None:
            operations = Adapter(adapter).load()
        elif arguments[:1] == ["new"]:
            from .scaffold import write  # which a module does not need

            return write(arguments[1:])
        else:
            operations = load(_parse(arguments, prog).target)
        module = operations[0].owner or Functions(ModuleRunner())
        if "--selftest" in arguments:
            answer = module.runner.selftest()
            module.runner.cleanup()
            return 0 if answer and answer.get("success") else 1
        modules_of(module.own(operations))
        Polling(module).run()
        return 0
    except (LongOperationError, OSError) as error:
        print(f"longop.codeproject: {error}", file=sys.stderr)
        return 2


def _parse(arguments: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog, description="Run an adapter, or any function, as a "
        "module of CodeProject.AI Server, as which that starts it. ``new DIR TARGET`` writes the "
        "folder of a module.")
    parser.add_argument("target", metavar="TARGET",
                        help="package.module, module:name or path/to/file.py[:name]")
    parser.add_argument("--selftest", action="store_true", help="exit with 0 if it works, else 1")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
