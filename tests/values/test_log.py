"""`longop.values.log`: what longop logs."""

import io
import logging

import pytest

from longop import LongOperation
from longop.values.log import Harmless, escape, logger

FORGED = "x\n2026-11-28 12:00:00 forged\r\x1b[2J\x1b]0;t\x07\x9b31m\u2028\u202e\ud800\0"


@pytest.fixture
def log():
    """Yield a file in which each entry of the log begins with ``ENTRY``."""
    file = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="")
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("ENTRY %(message)s"))
    logger.addHandler(handler)
    yield file
    logger.removeHandler(handler)


def entries_of(file):
    """Return how many entries there are: nothing is unsafe, and other lines are indented."""
    file.flush()
    text = file.buffer.getvalue().decode()
    assert not set(text) & set(FORGED) - set("x\n2026-11-28 12:00:00 forgedJ[];t31m")
    assert all(line.startswith(("ENTRY ", "  ")) for line in text.splitlines())
    return text.count("ENTRY ")


def test_escape():
    """Only what is unsafe is changed, to what Python writes for it."""
    assert escape("a \u00e9\u6c49\U0001f600 \\") == "a \u00e9\u6c49\U0001f600 \\"
    assert escape("\n\x1b\x9b\u202e\ud800") == r"\n\x1b\x9b\u202e\ud800"


def test_messages_and_arguments(log):
    """An entry is one line, whatever its message and its arguments are."""
    logger.error(FORGED)
    logger.error("%s %r", FORGED, "a")
    assert entries_of(log) == 2


def test_exceptions(log):
    """The lines of an exception, of its causes too, are indented and have nothing unsafe."""
    try:
        try:
            raise KeyError(FORGED)
        except KeyError as error:
            raise ValueError(FORGED) from error
    except ValueError:
        logger.exception("at %s", FORGED)
    assert entries_of(log) == 1
    assert "ValueError: x\n  2026" in log.buffer.getvalue().decode()


def test_a_job_that_fails(log):
    """Neither the name of an operation nor the error of its function forges an entry."""
    def work():
        raise RuntimeError(FORGED)

    job = LongOperation(work, callback=False, name=FORGED).start()
    assert isinstance(job.exception(10), RuntimeError)
    assert entries_of(log) == 1


def test_an_entry_that_cannot_be_shown():
    """What raises when it is shown is left to the handler."""
    class Wrong:
        def __str__(self):
            raise ZeroDivisionError

    record = logger.makeRecord("longop", logging.ERROR, "file", 1, "%s", (Wrong(),), None)
    assert Harmless().filter(record)
    assert record.msg == "%s"
