"""`longop.cli.tour`: what is served when nothing is named."""

import time

import pytest

from longop import State
from longop.cli import tour
from longop.cli.target import load

from ..waiting import end_of


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def test_operations():
    """It has text that grows, a chart and a table."""
    names = [operation.name for operation in load("longop.cli.tour")]
    assert names == ["count", "train", "primes"]


def test_count():
    """The numbers that were counted are the result."""
    status = end_of(tour.count.start(to=4))
    assert (status.state, status.result, status.step, status.total) == (
        State.COMPLETED, "1 2 3 4", 4, 4)


def test_train():
    """The losses fall."""
    job = tour.train.start(epochs=100)
    losses = end_of(job).result
    assert set(losses) == {"training", "validation"}
    assert losses["training"] < 0.5


def test_primes():
    """The last rows of the table are prime numbers."""
    rows = end_of(tour.primes.start(below=20_000)).result
    assert rows[-1] == {"count": 2000, "prime": 17389, "gap": 2}
