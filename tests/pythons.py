"""What only some Pythons have. Tests that need it are skipped by name elsewhere."""

import os
import pickle
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import pytest

IS_PYPY = sys.implementation.name == "pypy"


def _is_wine():
    if os.name != "nt":
        return False
    import ctypes  # not every Python has it

    return hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


#: Whether this is a Python for Windows that runs on another system.
IS_WINE = _is_wine()
# PyPy 7.3.11 lacks a method that its own standard library calls. Under wine the workers of a
# pool hang as they begin, without longop too.
_CAN_SPAWN = not IS_WINE and (
    not IS_PYPY or hasattr(ProcessPoolExecutor, "_adjust_process_count"))

counts_references = pytest.mark.skipif(
    IS_PYPY, reason="PyPy closes what is dropped when it collects garbage, not at once")
has_c_signatures = pytest.mark.skipif(
    IS_PYPY, reason="PyPy has no functions that do not tell their parameters")
has_process_pools = pytest.mark.skipif(
    not _CAN_SPAWN, reason="the ProcessPoolExecutor of this Python cannot spawn")
kills_families = pytest.mark.skipif(IS_WINE, reason="the taskkill of wine spares the children")
tells_resets = pytest.mark.skipif(
    IS_WINE, reason="wine tells of a connection that was reset as of one that has ended")
tells_inherited_signals = pytest.mark.skipif(
    IS_PYPY, reason="PyPy does not tell that nohup has a signal ignored")
has_narrow_locales = pytest.mark.skipif(
    IS_PYPY and sys.version_info >= (3, 10), reason="PyPy writes UTF-8 in the POSIX locale too")
has_plain_recursion_errors = pytest.mark.skipif(
    IS_PYPY, reason="PyPy may turn a RecursionError into a TypeError, as it chains it")
tells_sizes = pytest.mark.skipif(IS_PYPY, reason="PyPy has no sys.getsizeof")
has_c_codecs = pytest.mark.skipif(
    IS_PYPY, reason="PyPy runs steps of its own, which would be counted, where CPython runs C")


def _error_of_pickling(value):
    try:
        pickle.dumps(value)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("it can be pickled")


#: Why a lock cannot be pickled, in this Python's words.
NO_PICKLE_OF_A_LOCK = _error_of_pickling(threading.Lock())
