"""`longop.values.texts`: numbers, dates, times and durations as text."""

import time as clock
from datetime import date, datetime, time, timedelta, timezone

import pytest

from longop.values.texts import (check_number, to_date, to_datetime, to_duration, to_float, to_int,
                                 to_time, to_timedelta)

HALF_PAST_TWO = datetime(2026, 11, 28, 14, 30)


@pytest.mark.parametrize(("read", "text", "expected"), [
    (to_int, "-1e2", -100), (to_float, "-.5e-1", -0.05), (check_number, " .5 ", ".5"),
    (to_date, "2026-11-28", date(2026, 11, 28)),
    (to_time, "14:30", time(14, 30)), (to_time, "14:30:15", time(14, 30, 15)),
    (to_time, "14:30:15.5", time(14, 30, 15, 500_000)),
    (to_time, "14:30:15,1234567", time(14, 30, 15, 123_456)),
    (to_time, "14:30Z", time(14, 30, tzinfo=timezone.utc)),
    (to_datetime, "2026-11-28", datetime(2026, 11, 28)),
    (to_datetime, "2026-11-28T14:30", HALF_PAST_TWO),
    (to_datetime, "2026-11-28 14:30", HALF_PAST_TWO),
    (to_datetime, "2026-11-28t14:30z", HALF_PAST_TWO.replace(tzinfo=timezone.utc)),
    (to_datetime, "2026-11-28T14:30:00.000Z", HALF_PAST_TWO.replace(tzinfo=timezone.utc)),
    (to_datetime, "2026-11-28T14:30+05:30",
     HALF_PAST_TWO.replace(tzinfo=timezone(timedelta(hours=5.5)))),
    (to_datetime, "2026-11-28T14:30-0100",
     HALF_PAST_TWO.replace(tzinfo=timezone(timedelta(hours=-1)))),
    (to_timedelta, "P1W", timedelta(7)), (to_timedelta, "P1DT2H", timedelta(1, 7200)),
    (to_timedelta, "PT0,5S", timedelta(seconds=0.5)), (to_timedelta, "-PT5S", timedelta(0, -5)),
    (to_timedelta, "25:00:00", timedelta(1, 3600)), (to_timedelta, "-0:00:05", timedelta(0, -5)),
    (to_timedelta, "2 days, 1:00:00.5", timedelta(2, 3600.5)),
    (to_timedelta, "1 day, 0:00:00", timedelta(1))])
def test_texts_are_read_alike_in_every_python(read, text, expected):
    """What browsers and people write is read, with Z and fractions, before Python 3.11 too."""
    found = read(text)
    assert found == expected
    assert getattr(found, "tzinfo", None) == getattr(expected, "tzinfo", None)


@pytest.mark.parametrize(("read", "text"), [
    *[(to_int, text) for text in ("", "1.0", "1e-1", "--1", "1_0")],
    *[(to_float, text) for text in ("", ".", "nan", "1e999", "1_0", "1,5")],
    *[(to_date, text) for text in ("", "2026-1-1", "2026-02-30", "2026-W01", "02026-01-01")],
    *[(to_time, text) for text in ("", "1:30", "24:00", "14:60", "14:30:", "14:30+25:00")],
    *[(to_datetime, text) for text in ("", "2026-11-28T", "2026-11-28T14", "x2026-11-28")],
    *[(to_timedelta, text) for text in ("", "P", "PT", "P1", "P1DT", "1:60:00", "1:00:00:00")]])
def test_other_texts_are_refused(read, text):
    """A text that is written in another way is a ValueError."""
    reasons = "written in another way|must be|offset|out of range|too large"
    with pytest.raises(ValueError, match=reasons):
        read(text)


@pytest.mark.parametrize(("delta", "expected"), [
    (timedelta(0), "PT0S"), (timedelta(1), "P1D"), (timedelta(hours=1), "PT1H"),
    (timedelta(1, 5), "P1DT5S"), (timedelta(hours=1, seconds=5), "PT1H0M5S"),
    (timedelta(minutes=90), "PT1H30M"), (timedelta(microseconds=1), "PT0.000001S"),
    (timedelta(-1, 1.5), "-PT23H59M58.5S"), (timedelta.max, "P999999999DT23H59M59.999999S")])
def test_duration_as_text(delta, expected):
    """A duration is written as ISO 8601, with no unit left out between two (RFC 3339)."""
    assert to_duration(delta) == expected
    assert abs(to_timedelta(expected) - delta) <= timedelta(microseconds=1)


def test_long_text_takes_no_time():
    """The time that a text takes grows with its length, not with the square of it."""
    began = clock.perf_counter()
    for read in to_int, to_float, to_date, to_time, to_datetime, to_timedelta:
        for start in "9", "P9", "14:30:00.9", "1.9":
            with pytest.raises(ValueError, match="written in another way"):
                read(start + "9" * 200_000 + "x")
    assert clock.perf_counter() - began < 5
