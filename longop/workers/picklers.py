"""How an executor sends what it is to run: known for some kinds of executors.

For these a call is pickled at its start, so that one that cannot be sent is an error there, and
one that cannot be read where it arrives costs no worker. Any other executor sends it as it can.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn
import os
import sys
from concurrent import futures
from multiprocessing.reduction import ForkingPickler
from typing import Any

from ..executors import Call
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
    the executor's processes do not have.
    """
    if isinstance(executor, futures.ProcessPoolExecutor):
        _check_main(executor, call)
        return bytes(ForkingPickler.dumps(call))
    package = type(executor).__module__.partition(".")[0]
    dumps = getattr(sys.modules.get(_DUMPS.get(package, "")), "dumps", None)
    return b"" if dumps is None else bytes(dumps(call))


def _check_main(executor: Any, call: Call) -> None:
    """Raise if a function of the main module is sent to processes that cannot import it."""
    if getattr(unwrap_partial(call.function), "__module__", None) != "__main__":
        return
    context = getattr(executor, "_mp_context", multiprocessing)
    if context.get_start_method() == "fork":
        return  # the processes are copies of this one
    # What a process of the pool is told to import, if anything: not in a notebook.
    told = multiprocessing.spawn.get_preparation_data("longop")
    path = told.get("init_main_from_path", "")
    if "init_main_from_name" not in told and not os.path.isfile(path):
        raise ValueError("it is defined in a main module that other processes cannot import, "
                         "such as a notebook's")
