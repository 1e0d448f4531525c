"""How an executor sends what it is to run."""

import multiprocessing
import pickle
import sys
import types
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from longop import Callback
from longop.executors import Call
from longop.workers.picklers import pickle_for

from .remote_functions import echo


def call_of(function):
    """Return a call of a function."""
    return Call(function, (3,), {}, Callback(), None, 2.0)


def pool(method):
    """Return a pool that starts its processes in some way, and has started none."""
    return ProcessPoolExecutor(1, multiprocessing.get_context(method))


def test_pool_of_processes():
    """For a pool of this Python's, the call is pickled as it would be there."""
    assert pickle.loads(pickle_for(pool("spawn"), call_of(echo))).function is echo


@pytest.mark.parametrize("executor", [ThreadPoolExecutor(1), Executor()], ids=["threads", "any"])
def test_any_other_executor(executor):
    """Other executors send the call as they can, and threads send nothing at all."""
    assert pickle_for(executor, call_of(lambda: 1)) == b""


@pytest.mark.parametrize(("package", "module"), [
    ("distributed", "distributed.protocol.pickle"), ("loky", "loky.backend.reduction"),
    ("joblib", "joblib.externals.loky.backend.reduction")])
def test_executor_with_a_pickler_of_its_own(monkeypatch, package, module):
    """For an executor of a known package, that package's own pickler is used."""
    kind = type("Its", (Executor,), {"__module__": f"{package}.executors"})
    assert pickle_for(kind(), call_of(echo)) == b""  # it is not loaded
    its = types.SimpleNamespace(dumps=lambda call: memoryview(b"its"))
    monkeypatch.setitem(sys.modules, module, its)
    assert pickle_for(kind(), call_of(echo)) == b"its"


@pytest.fixture
def in_main(monkeypatch):
    """A function of a main module that is in no file."""
    main = types.ModuleType("__main__")
    exec("def work(n): pass", vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    return main.work


def test_function_of_a_notebook(in_main):
    """Processes that do not have a notebook's functions are not sent any."""
    with pytest.raises(ValueError, match="main module that other processes cannot import"):
        pickle_for(pool("spawn"), call_of(in_main))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_function_of_a_notebook_in_a_fork(in_main):
    """A copy of this process has what a notebook has defined."""
    assert pickle.loads(pickle_for(pool("fork"), call_of(in_main))).function is in_main


def test_function_of_a_script(in_main, tmp_path):
    """A process can import a script, so it is sent the name of its function."""
    script = tmp_path / "script.py"
    script.touch()
    sys.modules["__main__"].__file__ = str(script)
    assert pickle.loads(pickle_for(pool("spawn"), call_of(in_main))).function is in_main
