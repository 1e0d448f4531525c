"""`longop.errors`: each error says what it stands for in HTTP."""

import inspect

import pytest

from longop import errors
from longop.errors import (BadParameters, Busy, ForgottenJob, KeyReused, LongOperationError,
                           OperationCancelled, ReportCancelled, RequestError, UnknownJob,
                           WorkerLost, chain, is_cancel, is_unwinding, leaves_of)


def test_one_base():
    """All errors have one base, except the cancels: a BaseException, and the field's own."""
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass)
               if one.__module__ == errors.__name__]
    assert len(classes) > 9
    for one in classes:
        stops = one in (OperationCancelled, ReportCancelled)
        assert issubclass(one, LongOperationError) is not stops
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


class Group(Exception):
    """As ``ExceptionGroup``, which Python 3.8 does not have."""

    def __init__(self, *exceptions):
        super().__init__()
        self.exceptions = exceptions


def test_chain():
    """A chain has each error that led to another one once, however they are linked."""
    one, two, three, four = (ValueError(number) for number in range(4))
    group = Group(two, three)
    one.__cause__, one.__context__ = group, four
    four.__context__ = one  # a circle
    assert set(chain(one)) == {one, two, three, four, group}
    assert len([*chain(one)]) == 5
    assert [*chain(None)] == []


def test_is_cancel():
    """A group is a cancel if all that is in it is one."""
    cancelled, other = OperationCancelled(), ValueError()
    assert is_cancel(cancelled)
    assert is_cancel(Group(cancelled, Group(ReportCancelled())))
    for error in (None, other, Group(cancelled, other), Group()):
        assert not is_cancel(error)


class Listed(Exception):
    """A group of somebody's own, which can contain itself."""

    def __init__(self, *exceptions):
        self.exceptions = [*exceptions, self, "no error"]


class Opaque(Exception):
    exceptions = property(lambda self: 1 / 0)


def test_leaves():
    """The leaves of a group are in order, once each; what is no group has none."""
    one, two, three = ValueError(1), ValueError(2), Opaque()
    assert leaves_of(Group(one, Group(two, one), three)) == [one, two, three]
    assert leaves_of(Listed(one, Listed(two))) == [one, two]
    assert leaves_of(one) == leaves_of(three) == leaves_of(Group()) == []
    assert is_cancel(Listed(OperationCancelled()))
    assert not is_cancel(three)
    assert [*chain(three)] == [three]


def test_is_unwinding():
    """A cancel unwinds while it is handled, also as the context of another error."""
    assert not is_unwinding()
    for cancel in (OperationCancelled, ReportCancelled, GeneratorExit):
        try:
            try:
                raise cancel
            finally:
                assert is_unwinding()
                raise ValueError
        except ValueError:
            assert is_unwinding()
        assert not is_unwinding()
