"""How an executor sends what it is to run: known for some kinds of executors.

For these a call is pickled at its start, so that one that cannot be sent is an error there, and
one that cannot be read where it arrives costs no worker. Any other executor sends it as it can.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn
import os
import pickle
import sys
from concurrent import futures
from multiprocessing.reduction import ForkingPickler
from typing import Any

from ..executors import Call
from ..functions.threads import has_interpreters
from ..signature import unwrap_partial

# The module whose ``dumps`` an executor uses, by the package that the executor is from.
_DUMPS = {
    "distributed": "distributed.protocol.pickle",
    "joblib": "joblib.externals.loky.backend.reduction",
    "loky": "loky.backend.reduction",
}


def pickle_for(executor: futures.Executor, call: Call) -> bytes:
    """Return a call as its executor pickles it, or nothing if that is not known.

    Raises what the pickling raises, and ``ValueError`` for a function of a main module that
    cannot be imported where the call is made.
    """
    if isinstance(executor, futures.ProcessPoolExecutor):
        if not _forks(executor):
            _check_main(call)
        return bytes(ForkingPickler.dumps(call))
    if has_interpreters(executor):
        _check_main(call)
        return _pickle_for_interpreter(call)
    package = type(executor).__module__.partition(".")[0]
    dumps = getattr(sys.modules.get(_DUMPS.get(package, "")), "dumps", None)
    return b"" if dumps is None else bytes(dumps(call))


def _forks(executor: Any) -> bool:
    """Return whether the processes of an executor are copies of this one."""
    context = getattr(executor, "_mp_context", multiprocessing)
    return bool(context.get_start_method() == "fork")


def _check_main(call: Call) -> None:
    """Raise if a function of the main module is sent to where it cannot be imported."""
    if getattr(unwrap_partial(call.function), "__module__", None) != "__main__":
        return
    told = _main_module()
    path = told.get("init_main_from_path", "")
    if "init_main_from_name" not in told and not os.path.isfile(path):
        raise ValueError("it is defined in a main module that other processes cannot import, "
                         "such as a notebook's")


def _main_module() -> dict[str, str]:
    """Return what a new process is told to import as its main module: in a notebook, nothing."""
    told = multiprocessing.spawn.get_preparation_data("longop")
    return {key: value for key, value in told.items() if key.startswith("init_main_")}


# An interpreter of its own in this process: it has no main module, and what it does about that
# does not suffice for an operation, whose function has a name with a dot.


def _pickle_for_interpreter(call: Call) -> bytes:
    data = pickle.dumps(call)
    return pickle.dumps(_WithMain(data)) if b"__main__" in data else data


class _WithMain:
    """A pickle that needs this main module where it is read."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> Any:
        return _read_with_main, (_main_module(), self._data)


def _read_with_main(main: dict[str, Any], data: bytes) -> Any:
    """Import a main module, once, as a new process would; read a pickle. Runs where it arrives."""
    multiprocessing.spawn.prepare(main)
    return pickle.loads(data)
