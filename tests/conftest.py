import contextlib
import gc
import multiprocessing
import os
import threading

import pytest

from longop import LongOperation, wings

from .waiting import wait_until

# Files, sockets and processes are closed where their use ends. Whoever leaves one to the collector
# of garbage shows it when there is none, as in one job of ``.ci/run``.
if os.environ.get("LONGOP_NO_GC"):
    gc.disable()

# The first thread that ends may load this, a moment after it was joined: a test that counts open
# files would see one more, and a fork would crash.
with contextlib.suppress(ImportError, OSError):  # a system or a Python that has none
    import ctypes

    ctypes.CDLL("libgcc_s.so.1")


def running():
    return [thread for thread in threading.enumerate() if thread.name.startswith("longop-")]


@pytest.fixture(autouse=True)
def no_thread_is_left_behind():
    """No test ends with a job that still runs, and none inherits one."""
    yield
    while running():  # the end of one may start the next
        for thread in running():
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def make():
    """Make operations, in processes by default; at the end no process is left of them."""
    made = []

    def make(function, executor="process", **options):
        if executor != "thread" and wings.find("workers.processes") is None:
            pytest.skip("longop.workers is not in this copy")
        made.append(LongOperation(function, executor=executor, **options))
        return made[-1]

    yield make
    for operation in made:
        operation.close()
    wait_until(lambda: multiprocessing.active_children() == [])
