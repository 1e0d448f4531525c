import threading

import pytest

from longop.mcp.calls import Call, Calls
from longop.mcp.message import INVALID_REQUEST, RpcError


class Work:
    id = "7"


@pytest.mark.parametrize("first", ["stop_with", "cancel"])
def test_a_cancel_stops_once(first):
    """A cancel stops the job, whether it comes before its start or after it, and once."""
    call = Call()
    stopped = []
    steps = {"stop_with": lambda: call.stop_with(lambda: stopped.append(1)),
             "cancel": call.cancel}
    steps.pop(first)()
    [other] = steps.values()
    other()
    call.cancel()
    assert call.is_cancelled
    assert stopped == [1]


def test_a_cancel_at_the_same_moment():
    """A cancel during the start of the job stops it once, whichever comes first."""
    for _ in range(200):
        call = Call()
        stopped = []
        together = threading.Barrier(2)

        def cancel(call=call, together=together):
            together.wait(10)
            call.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        together.wait(10)
        call.stop_with(lambda stopped=stopped: stopped.append(1))
        thread.join(10)
        assert stopped == [1]


def test_a_released_call_stops_nothing():
    """Once a call is answered, a cancel comes too late."""
    call = Call()
    stopped = []
    call.stop_with(lambda: stopped.append(1))
    assert call.release()
    assert not call.release()
    call.cancel()
    assert stopped == []


def test_calls_are_found_by_client_and_id():
    """A cancel finds its call, and neither that of another client nor one with a similar id."""
    calls = Calls()
    number, text, other = calls.begin("a", 1), calls.begin("a", "1"), calls.begin("b", 1)
    calls.cancel("a", 1)
    assert (number.is_cancelled, text.is_cancelled, other.is_cancelled) == (True, False, False)


@pytest.mark.parametrize("id", [None, [], {}, 1.5, "unknown", 9])
def test_a_cancel_that_finds_nothing(id):
    """An id of no call, or no id at all, is ignored."""
    Calls().cancel("a", id)


def test_an_id_twice():
    """A second call with the id of one under way is refused; afterwards the id is free."""
    calls = Calls()
    first = calls.begin("a", 1)
    with pytest.raises(RpcError) as caught:
        calls.begin("a", 1)
    assert (caught.value.code, caught.value.id) == (INVALID_REQUEST, 1)
    calls.end(first)
    second = calls.begin("a", 1)
    calls.end(first)  # late: it must not take out the second
    calls.cancel("a", 1)
    assert second.is_cancelled


def test_calls_of_no_client():
    """Calls of nobody in particular may share an id, and are not found."""
    calls = Calls()
    first = calls.begin(None, 1)
    assert calls.begin(None, 1) is not first
    calls.end(first)


def test_the_last_call_of_a_job():
    """The last one of the calls that wait for a job is told so."""
    calls = Calls()
    calls.wait_for(Work, is_own=True)
    calls.wait_for(Work, is_own=False)
    assert not calls.leave(Work)
    assert calls.leave(Work)


def test_a_job_of_somebody_else():
    """A call that joined a job that no call has started is never its last one."""
    calls = Calls()
    calls.wait_for(Work, is_own=False)
    assert not calls.leave(Work)
