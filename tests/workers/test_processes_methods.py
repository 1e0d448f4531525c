"""Methods in processes: the object is sent, and the method is found there by its name."""

import multiprocessing

import pytest

from longop import LongOperation, TargetError

from ..waiting import end_of, wait_until
from .far import Counter, Held, Special


@pytest.fixture(scope="module", autouse=True)
def ended():
    """At the end of the module, end the processes of the class's operations."""
    yield
    for value in vars(Counter).values():
        if isinstance(value, LongOperation):
            value.kill()
    wait_until(lambda: multiprocessing.active_children() == [])


@pytest.mark.parametrize(("name", "parameters", "value"), [
    ("count", {"n": 1}, 11), ("of_the_class", {}, 200), ("static", {}, "static")])
def test_every_kind_of_method(name, parameters, value):
    """The process gets the object or the class that the method was looked up on."""
    operation = getattr(Special(10), name)
    for _ in range(2):
        assert end_of(operation.start(**parameters)).result == value


def test_an_object_that_cannot_be_sent():
    """An object that cannot be pickled is an error of the start, which says why."""
    before = Counter.count.jobs()
    with pytest.raises(TargetError, match=r"of a Held.* cannot run .*pickle.*lock"):
        Held().count.start(n=1)
    assert Counter.count.jobs() == before
