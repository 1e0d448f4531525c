import threading

import pytest


@pytest.fixture
def gate():
    """What ends the jobs of `work`; at the end of a test it is open."""
    gate = threading.Event()
    yield gate
    gate.set()
