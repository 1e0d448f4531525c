"""`longop.web.limits`: how much a client may send."""

import dataclasses

import pytest

from longop.web.limits import Limits


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
