import threading

import pytest


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
