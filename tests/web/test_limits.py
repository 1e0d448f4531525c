"""`longop.web.limits`: how much a client may send."""

import dataclasses

import pytest

from longop.errors import RequestError
from longop.web.limits import SMALL_BODY, InFlight, Limits


def test_each_limit_has_a_help():
    """The command line can show what each limit is, and what type it has."""
    for limit in dataclasses.fields(Limits):
        assert limit.metadata["help"]
        assert type(limit.default) in (int, float)
        assert limit.default > 0


def test_limits_cannot_be_changed():
    """One object may serve several doors."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().max_body = 1
    assert Limits(max_body=1).max_body == 1


def test_in_flight():
    """Large bodies have room up to a sum; small ones, and a single one, always have it."""
    all = InFlight(200_000)
    alone = all.admit(500_000)
    with pytest.raises(RequestError) as caught:
        all.admit(SMALL_BODY + 1)
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "5"})
    small = all.admit(SMALL_BODY)
    alone.close()
    alone.close()
    first = all.admit(100_000)
    with pytest.raises(RequestError):
        all.admit(100_000)
    small.close()
    second = all.admit(100_000)
    first.close()
    second.close()
    assert all._bytes == 0
