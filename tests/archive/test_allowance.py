"""`longop.archive.allowance`: what may be written at a rate."""

import pytest

from longop.archive import FileHistory
from longop.archive.allowance import Allowance


def test_what_is_free():
    """Nothing is free until what was written is paid for; what is saved up has an end."""
    clock = [1_000.0]
    allowance = Allowance(100, lambda: clock[0])
    allowance.spend(1_000)
    assert allowance.is_free()
    allowance.spend(1)
    assert not allowance.is_free()
    clock[0] += 0.011
    assert allowance.is_free()
    clock[0] += 1_000_000
    allowance.spend(1_001)
    assert not allowance.is_free()


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_rate_that_is_none(file, rate):
    """A rate of nothing would write nothing."""
    with pytest.raises(ValueError, match="rate must be above 0"):
        FileHistory(file, rate=rate)
