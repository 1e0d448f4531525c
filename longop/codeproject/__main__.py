"""``python -m longop.codeproject``: runs a module of CodeProject.AI Server, or writes one."""

from __future__ import annotations

import argparse
import sys
from typing import Sequence

from ..cli.options import TARGET_HELP
from ..cli.streams import prepare_streams
from ..cli.target import load
from ..errors import LongOperationError
from ..operation import LongOperation
from .adapter import Adapter
from .functions import Functions
from .hosted import HostedModule
from .module import modules_of
from .queue import Polling
from .sdk import ModuleRunner

_COMMANDS = """\
commands:
  TARGET             run the module: CodeProject.AI Server starts it with this
  TARGET --selftest  test the module, and exit with 0 if it works, or 1
  new DIR TARGET     write the folder of a new module for a function

examples:
  {prog} adapter.py
  {prog} work.py:train --selftest
  {prog} new PythonLongProcess examples/long_process.py"""


def main(arguments: list[str] | None = None, adapter: ModuleRunner | None = None,
         prog: str = "python -m longop.codeproject") -> int:
    """Run a module until CodeProject tells it to quit, or test it, or write a new one.

    :param arguments: by default ``sys.argv[1:]``.
    :param adapter: the module to run, in place of a target among the arguments.
    :param prog: how the command was called, for its usage message.

    Returns the exit code: 0, 1 if a self-test failed, or 2 if there is nothing to run.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    prepare_streams()
    try:
        if adapter is not None:
            operations = Adapter(adapter).load()
        elif arguments[:1] == ["new"]:
            # Loaded late, because a module that runs does not need it.
            from .scaffold import write

            return write(arguments[1:], f"{prog} new")
        else:
            operations = load(_parse(arguments, prog).target)
        module = _module_of(operations)
        if "--selftest" in arguments:
            return _test(module)
        Polling(module).run()
        return 0
    except (LongOperationError, OSError) as error:
        print(f"longop.codeproject: {error}", file=sys.stderr)
        return 2


def _module_of(operations: Sequence[LongOperation]) -> HostedModule:
    """Return the module of operations, which are then its own; make one if they have none."""
    owner = operations[0].owner
    if not isinstance(owner, HostedModule):
        owner = Functions(ModuleRunner())
        operations = owner.own(operations)
    modules_of(operations)
    return owner


def _test(module: HostedModule) -> int:
    if module.runner.selftest_check_pkgs:
        module.runner.check_packages()
    answer = module.runner.selftest()
    module.runner.cleanup()
    return 0 if answer and answer.get("success") else 1


def _parse(arguments: list[str], prog: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s [-h] TARGET [--selftest]\n       %(prog)s new DIR TARGET",
        description="Run an adapter, or any function, as a module of CodeProject.AI Server.",
        epilog=_COMMANDS.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", metavar="TARGET", help=TARGET_HELP)
    parser.add_argument("--selftest", action="store_true",
                        help="test the module: exit with 0 if it works, else 1")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
