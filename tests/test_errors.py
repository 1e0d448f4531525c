"""`longop.errors`: each error says what it stands for in HTTP."""

import inspect

import pytest

from longop import errors
from longop.errors import (BadParameters, Busy, ForgottenJob, KeyReused, LongOperationError,
                           OperationCancelled, RequestError, UnknownJob, WorkerLost)


def test_one_base():
    """All errors have one base, except the cancel, which `except Exception` must not catch."""
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass)
               if one.__module__ == errors.__name__]
    assert len(classes) > 9
    for one in classes:
        assert issubclass(one, LongOperationError) is (one is not OperationCancelled)
    assert not issubclass(OperationCancelled, Exception)


@pytest.mark.parametrize(("error", "status"), [
    (LongOperationError("any"), 500), (BadParameters({"n": "is missing"}), 400),
    (UnknownJob("a"), 404), (ForgottenJob("a"), 410), (KeyReused("a"), 422),
    (Busy("a", "id"), 409), (Busy("a", "id", retry_after=5), 429),
    (RequestError(413, "a"), 413)])
def test_status(error, status):
    """Each error has the HTTP status that it is answered with."""
    assert error.status == status


def test_busy_names_a_job():
    """Busy names a job that is alive, and, if the queue is full, says when to try again."""
    rejected, full = Busy("rejected", "id"), Busy("full", "id", retry_after=5)
    assert (str(rejected), rejected.job_id, rejected.headers) == ("rejected", "id", {})
    assert (str(full), full.job_id, full.headers) == ("full", "id", {"Retry-After": "5"})
    assert LongOperationError.headers == {}


def test_bad_parameters_names_each():
    """The message has every wrong parameter, and ``errors`` has them by name."""
    given = {"n": "is missing", "m": "is unknown; known are: n"}
    error = BadParameters(given)
    assert str(error) == "parameter 'n' is missing; parameter 'm' is unknown; known are: n"
    assert error.errors == given
    assert error.errors is not given


def test_request_error_has_headers():
    """A request that cannot be served may be answered with headers of its own."""
    assert RequestError(405, "not so", Allow="GET").headers == {"Allow": "GET"}
    assert RequestError(400, "not so").headers == {}


def test_worker_lost_by_what():
    """Of a lost worker the signal is unknown, unless somebody says it."""
    assert WorkerLost("lost").means is None
