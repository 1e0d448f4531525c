"""What adapters of CodeProject.AI Server import, by the names of its SDK.

Here, *CodeProject* is short for that server; *the queue* is the one in which it keeps requests
for modules.

An adapter that uses the names below runs with its import line changed and nothing else::

    from longop.codeproject import JSON, ModuleRunner, RequestData

===========  =========================================================================
sdk          `ModuleRunner`, the base class of adapters
request      `RequestData`, what an adapter gets
options      what CodeProject tells a module in its environment
system       what an adapter may ask about its machine
helpers      small functions that adapters call
settings     ``modulesettings.json``: what it says
parts        parts of it that know their place, for what is wrong there
overlays     how it is read, with what stands beside it for one kind of machine
machine      what CodeProject calls this machine
folders      where the files of a module are
checkpoints  where a long command reports, and where a cancel takes hold of it
progress     what an adapter says of a long command, as a report
module       operations under one name, and what CodeProject's clients are told about them
hosted       a module that CodeProject can start: the base of the next two
functions    a module of plain functions
adapter      a module made of an adapter
explorer     what CodeProject's pages ask for
openapi      CodeProject's commands in the OpenAPI document
routes       CodeProject's HTTP routes, for `longop.web`
loader       adapters as targets on a command line, for `longop.cli`
connection   requests to the server, from a module
queue        a module that gets its work from the queue
scaffold     the folder of a new module
===========  =========================================================================
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .helpers import dump_tensors, get_folder_size, shorten, timedelta_format
    from .options import LogVerbosity, ModuleOptions
    from .request import RequestData
    from .sdk import JSON, LogMethod, ModuleRunner
    from .system import SystemInfo

__all__ = ["JSON", "LogMethod", "LogVerbosity", "ModuleOptions", "ModuleRunner", "RequestData",
           "SystemInfo", "dump_tensors", "get_folder_size", "main", "shorten",
           "timedelta_format"]

# The names of the SDK, and the modules that define them. They are loaded when they are first used,
# because each start of ``longop.serve`` imports this package, and few of them serve an adapter.
_LAZY = {
    "JSON": "sdk",
    "LogMethod": "sdk",
    "LogVerbosity": "options",
    "ModuleOptions": "options",
    "ModuleRunner": "sdk",
    "RequestData": "request",
    "SystemInfo": "system",
    "dump_tensors": "helpers",
    "get_folder_size": "helpers",
    "shorten": "helpers",
    "timedelta_format": "helpers",
}


def __getattr__(name: str) -> Any:  # PEP 562
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value  # from now on it is found without this function
    return value


def main(arguments: list[str] | None = None, adapter: ModuleRunner | None = None) -> int:
    """Run a module until CodeProject tells it to quit, or test it, or write a new one.

    :param arguments: those of ``python -m longop.codeproject``; by default ``sys.argv[1:]``.
    :param adapter: the module to run, in place of a target among the arguments.

    Returns the exit code.
    """
    # Imported late: it loads argparse and the queue, which longop.serve does not need for
    # an adapter.
    from .__main__ import main as run

    return run(arguments, adapter)
