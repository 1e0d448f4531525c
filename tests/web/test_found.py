"""`longop.web.found`: a job by its id, alive or ended."""

import pytest

from longop import ForgottenJob, History, LongOperation, State, UnknownJob
from longop.web.found import JobView, cancel, find, find_live

from ..waiting import WAIT, end_of
from .api_operations import paint


class Silent(History):
    """A history that answers no question."""

    def get(self, id):
        raise AssertionError("this may wait for a disk")


def test_find(gate):
    """A job is found among those of all operations, while it lives and after its end."""
    operations = [LongOperation(paint), LongOperation(gate)]
    job = operations[1].start()
    found = find(operations, job.id)
    assert (found.operation, found.job, found.last) == (operations[1], job, None)
    assert (found.id, found.status.state) == (job.id, State.RUNNING)
    gate.open.set()
    end_of(job)
    found = find(operations, job.id)
    assert (found.operation, found.job) == (operations[1], None)
    assert (found.id, found.status) == (job.id, job.status())
    operations[1].forget(job.id)
    with pytest.raises(ForgottenJob):
        find(operations, job.id)
    with pytest.raises(UnknownJob, match="there is no job nope"):
        find(operations, "nope")


def test_find_live(gate):
    """What lives is found without a question to a history; what has ended is not found."""
    operations = [LongOperation(paint, history=Silent()), LongOperation(gate, history=Silent())]
    job = operations[1].start()
    assert find_live(operations, job.id).job is job
    gate.open.set()
    end_of(job)
    assert find_live(operations, job.id) is None


def test_cancel(gate):
    """A live job is told to stop; of an ended one the end is returned."""
    operation = LongOperation(gate, history=Silent())
    job = operation.start()
    found = find([operation], job.id)
    assert gate.reported.wait(WAIT)  # a cancel before that would end it at once
    assert cancel(found).state is State.CANCELLING
    gate.open.set()
    end_of(job)
    assert cancel(found).state is State.CANCELLED
    other = LongOperation(paint)
    done = other.start(n=1)
    end_of(done)
    assert cancel(find([other], done.id)) == done.status()


def test_view_of_a_live_job(gate):
    """A view of a live job shows that job, even if it ends before; of no other there is one."""
    operation = LongOperation(gate, history=Silent())
    job = operation.start()
    view = JobView([operation], job.id, lambda found, request: (found.job, request))
    of_live = view.of_live()
    gate.open.set()
    end_of(job)
    assert of_live("request") == (job, "request")
    assert view.of_live() is None
