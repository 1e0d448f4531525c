"""Memory that tests measure."""

import contextlib

import pytest


@contextlib.contextmanager
def peak_below(size):
    """Check that the memory allocated meanwhile never exceeds a size, in bytes."""
    with _traced() as measure:
        yield
        _, most = measure()
        assert most < size


@contextlib.contextmanager
def kept_below(size):
    """Check that what was allocated meanwhile and is kept is less than a size, in bytes."""
    with _traced() as measure:
        yield
        kept, _ = measure()
        assert kept < size


def need_counts():
    """Skip a test, before it starts anything, where nothing can be measured."""
    return pytest.importorskip(
        "tracemalloc", reason="this Python does not count what it allocates")


@contextlib.contextmanager
def _traced():
    tracemalloc = need_counts()
    tracemalloc.start()
    try:
        yield tracemalloc.get_traced_memory
    finally:
        tracemalloc.stop()
