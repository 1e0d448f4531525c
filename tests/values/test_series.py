"""`longop.values.series`: the numbers that a job reported, thinned."""

import decimal
import json
import threading

import pytest

from longop.values.series import MOST, Point, Series

from ..memory import kept_below


def reported(results, steps=None):
    """Return the JSON of a series whose reports are all offered to it when they are due."""
    series = Series()
    due = 1
    point = Point.of(0, None, None)
    for count, result in enumerate(results, 1):
        step = count - 1 if steps is None else steps[count - 1]
        point = Point.of(count, step, result)
        if count >= due:
            due = series.take(count, step, result)
    return series.to_json(point)


@pytest.mark.parametrize("count", [1, 2, 499, 500, 501, 999, 1000, 1001, 12_345])
def test_the_first_and_the_newest_are_there(count):
    """However many reports there are, the first and the newest are among at most 500 points."""
    shown = reported([float(n) for n in range(count)])
    assert shown["reports"] == count
    assert shown["step"] == shown["series"]["result"]
    assert (shown["step"][0], shown["step"][-1]) == (0, count - 1)
    assert len(shown["step"]) <= MOST
    assert len(shown["step"]) >= min(count, MOST // 2)
    gaps = {after - before for before, after in zip(shown["step"], shown["step"][1:-1])}
    assert len(gaps) <= 1  # at equal distances, but for the newest


def test_lists_have_one_length():
    """What a report lacked is None, also of a number that comes late."""
    shown = reported([{"loss": 1.5}, {"loss": 0.5, "rate": 3}, {"rate": None, "name": "x"}, "x"])
    assert shown["series"] == {"loss": [1.5, 0.5, None, None], "rate": [None, 3, None, None]}
    assert shown["step"] == [0, 1, 2, 3]


@pytest.mark.parametrize("result", [
    None, "7", True, b"7", [1, 2], {"a": "7"}, float("nan"), float("inf"), {"a": float("-inf")}])
def test_what_is_no_number_makes_no_series(result):
    """A job that reports no numbers has no points, but a count."""
    assert reported([result] * 3) == {"reports": 3, "step": [], "series": {}}


def test_other_numbers_are_numbers():
    """What has a float is a number."""
    shown = reported([decimal.Decimal("1.5"), 2, 3.25])
    assert shown["series"] == {"result": [1.5, 2, 3.25]}


def test_steps_are_shown_as_they_were():
    """A step without a fraction is an integer; without a number there is none."""
    shown = reported([1, 2, 3], steps=[1, 2.5, "three"])
    assert json.dumps(shown["step"]) == "[1, 2.5, null]"


def test_many_names_are_bounded():
    """Of a report with a thousand numbers some are kept."""
    shown = reported([{str(n): n for n in range(1000)}] * 2)
    assert len(shown["series"]) == 50


def test_looking_changes_nothing():
    """Looks between the points leave the series as it is."""
    series = Series()
    due = series.take(1, 1, 1.0)
    for count in range(2, 2000):
        if count == due:
            due = series.take(count, count, 1.0)
        series.to_json(Point.of(count, count, 1.0))
    undisturbed = reported([1.0] * 1999, steps=[*range(1, 2000)])
    assert series.to_json(Point.of(1999, 1999, 1.0)) == undisturbed


@pytest.mark.parametrize("result", ["text", 1.0])
def test_reports_are_taken_ever_more_rarely(result):
    """Ten times as many reports cost a few hundred more looks, with numbers or without."""
    def takes(count):
        series = Series()
        due, taken = 1, 0
        while due <= count:
            due = series.take(due, None, result)
            taken += 1
        return taken

    few, many = takes(10_000), takes(100_000)
    assert many - few < 4 * MOST


def test_threads_leave_lists_of_one_length():
    """Reports from several threads at once leave all lists as long."""
    series = Series()
    barrier = threading.Barrier(4)

    def report(name):
        barrier.wait()
        for count in range(1, 3000):
            series.take(count, count, {name: count})

    threads = [threading.Thread(target=report, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = series.to_json(Point.of(1, 1, None))
    assert {len(numbers) for numbers in shown["series"].values()} == {len(shown["step"])}


@pytest.mark.parametrize("names", [1, 60])
def test_memory_of_a_series(names):
    """However many reports there are, a series takes at most 5 kB for each of 50 names."""
    report = {str(n): n for n in range(names)}
    with kept_below(5_000 * (1 + min(names, 50)) + 10_000):
        series = Series()
        due = 1
        for count in range(1, 5_001):
            if count >= due:
                due = series.take(count, count, report)
    assert due > 5_000
