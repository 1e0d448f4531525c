from decimal import Decimal
from fractions import Fraction

import pytest

from longop import Status
from longop.mcp.progress import Progress, message_of


def numbers_of(*reports):
    """Return what is sent for the reports of a job: numbers and totals."""
    progress = Progress("t")
    sent = [progress.of(Status("1", "m", "o", **report)) for report in reports]
    return [(params["progress"], params.get("total")) for params in sent if params]


def test_steps():
    """The steps of a function are its progress."""
    assert numbers_of({"step": 0, "total": 9}, {"step": 1, "total": 9}, {"step": 2.5}) == [
        (0, 9), (1, 9), (2.5, None)]


def test_steps_that_do_not_grow():
    """A step that is not above the last one is not sent."""
    assert numbers_of({"step": 5}, {"step": 5, "message": "a"}, {"step": 1}, {"step": 6}) == [
        (5, None), (6, None)]


def test_reports_without_a_step():
    """Reports without a step are counted, and have no total."""
    assert numbers_of({"result": "a"}, {"result": "b", "total": 3}, {"message": "c"}) == [
        (1, None), (2, None), (3, None)]


def test_kinds_are_not_mixed():
    """What began as a count stays one, and what began with steps waits for the next step."""
    assert numbers_of({"result": "a"}, {"step": 50}, {"step": 51}) == [
        (1, None), (2, None), (3, None)]
    assert numbers_of({"step": 1}, {"result": "b"}, {"step": 2}) == [(1, None), (2, None)]


def test_nothing_new():
    """A status without a new report sends nothing."""
    report = {"result": "a", "step": 1}
    assert numbers_of({}, {}, report, report, {**report, "version": 9}) == [(1, None)]


@pytest.mark.parametrize("step", ["1", True, None, float("nan"), float("inf"), [], object(), 1j,
                                  Decimal(1)])
def test_no_number(step):
    """A step that is no number is not one; the report is counted."""
    assert numbers_of({"result": "a", "step": step, "total": 2}) == [(1, None)]


def test_numbers_of_other_classes():
    """A fraction is sent as JSON has it."""
    assert numbers_of({"step": Fraction(1, 2), "total": Fraction(2)}) == [(0.5, 2)]


def test_a_value_that_cannot_be_compared():
    """A report may be of a class that refuses to be compared."""
    class Odd:
        def __eq__(self, other):
            raise RuntimeError("no")

    assert numbers_of({"result": Odd()}, {"result": Odd()}) == [(1, None), (2, None)]


def test_the_message():
    """A message is what the function says, or the end of what it reported."""
    def told(**fields):
        return message_of(Status("1", "m", "o", **fields))

    assert told(message="m", result="r") == "m"
    assert told(result="r") == "r"
    assert told(result=3) == "3"
    assert told(result="a" * 1000 + "end").endswith("end")
    assert len(told(result="a" * 1000)) == 200
    assert told(result="data:image/png;base64,AA") == ""
    assert told(result={"a": 1}) == ""
    assert told() == ""


def test_the_parameters():
    """Token, number, total and message are sent."""
    progress = Progress(7)
    assert progress.of(Status("1", "m", "o", step=1, total=2, message="half")) == {
        "progressToken": 7, "progress": 1, "total": 2, "message": "half"}
