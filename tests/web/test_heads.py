"""What is done before the gate takes steps in proportion to the head (counted, not timed)."""

import pytest

from longop.web.limits import Limits

from ..pythons import has_c_codecs
from .heads import WORST, api_of, limits_of, take
from .requests import steps_of

SMALL = 6_000  # bytes


@has_c_codecs
@pytest.mark.parametrize("name", sorted(WORST))
def test_a_head_that_was_made_to_be_slow(name):
    """A head that is ten times as long takes hardly more steps, or ten times as many."""
    counts = []
    for size in (SMALL, 10 * SMALL):
        api = api_of(limits_of(size))
        head = WORST[name](size)
        take(api, head)  # what is imported, compiled or remembered for all heads
        counts.append(steps_of(take, api, head))
    small, large = counts
    most = 12 * small if "encoded" in name else small + 200
    assert large <= most, counts


@has_c_codecs
@pytest.mark.parametrize("name", sorted(WORST))
@pytest.mark.parametrize("size", [8_000, 60_000])
def test_the_limits_come_first(name, size):
    """With the usual limits, no head takes more than 20,000 steps, which are 5 ms at most."""
    api = api_of(Limits())
    head = WORST[name](size)
    take(api, head)
    assert steps_of(take, api, head) < 20_000
