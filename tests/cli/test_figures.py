"""`longop.cli.figures`: numbers and times in short."""

import pytest

from longop.cli import figures


class Raises:
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(("step", "total", "text"), [
    (12, 30, "12/30"), (12, None, "12"), (0.333333333, 2.0, "0.3333/2"),
    (99_999, None, "99999"), (1_980_000_000, 4_940_000_000, "1.98G/4.94G"),
    (12_345, 1_000_000, "12.3k/1M"), (999_950, None, "1M"), (-2_000_000, None, "-2M"),
    (float("nan"), 2, "nan/2"), (1, Raises(), "1/<Raises>"),
    (10 ** 400, None, str(10 ** 400)), (1e300, None, "1e+273Y"), (1e5, None, "100k")])
def test_count(step, total, text):
    """Small whole numbers are written out, floats rounded, large numbers have SI prefixes."""
    assert figures.count(step, total) == text


@pytest.mark.parametrize(("step", "seconds", "text"), [
    (3, 2.0, "1.5/s"), (610_000_000, 1.0, "610M/s"), (1, 4.0, "4 s each"),
    (2, 3.0, "1.5 s each"), (1, 150.0, "2:30 each"), (0, 2.0, ""), (-1, 2.0, ""),
    (float("nan"), 2.0, ""), (10 ** 400, 2.0, ""), (5e-324, 100.0, ""), (True, 1.0, "")])
def test_rate(step, seconds, text):
    """Below one a second it is told how long each takes; what is no rate is left out."""
    assert figures.rate(step, seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [
    (0.4, "0:00"), (59.6, "1:00"), (3599.7, "1:00:00"), (90_061, "25:01:01")])
def test_clock(seconds, text):
    """Times have hours where they need them."""
    assert figures.clock(seconds) == text
