"""A job by its id, alive or ended, whichever operation it is of."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Callable, Iterable, NamedTuple, Sequence

from ..errors import UnknownJob
from ..job import Job
from ..operation import LongOperation
from ..status import Status
from .held import Answer
from .request import Request


class Found(NamedTuple):
    """A job by its id: its operation, and the job itself while it is alive, or its last status."""

    operation: LongOperation
    job: Job | None
    last: Status | None

    @property
    def status(self) -> Status:
        """The status now."""
        if self.job is not None:
            return self.job.status()
        assert self.last is not None
        return self.last

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.status.id if self.job is None else self.job.id


#: What answers a request about one job.
FoundView = Callable[[Found, Request], Answer]


def find_live(operations: Iterable[LongOperation], id: str) -> Found | None:
    """Find a job that is alive; nothing has to wait for that."""
    for operation in operations:
        job = operation.find_alive(id)
        if job is not None:
            return Found(operation, job, None)
    return None


def find(operations: Iterable[LongOperation], id: str) -> Found:
    """Find a job; raise `UnknownJob` or `ForgottenJob`."""
    found = find_live(operations, id)
    if found is not None:
        return found
    # The histories last: one in a file is slower than a look at what is alive.
    for operation in operations:
        with contextlib.suppress(UnknownJob):
            return Found(operation, None, operation.status(id))
    raise UnknownJob(f"there is no job {id}")


def cancel(found: Found) -> Status:
    """Cancel a job if it is alive; return its status afterwards."""
    if found.job is not None:
        found.job.cancel()
    return found.status  # of a live job its own: no history is asked


class JobView:
    """The view of a path that names a job: it finds the job when it is called."""

    def __init__(self, operations: Sequence[LongOperation], id: str, view: FoundView) -> None:
        self._operations = operations
        self._id = id
        self._view = view

    def __call__(self, request: Request) -> Answer:
        """Find the job and answer; raise `UnknownJob` or `ForgottenJob`."""
        return self._view(find(self._operations, self._id), request)

    def of_live(self) -> Callable[[Request], Answer] | None:
        """Return a view of the job as it is now, or None if it is not alive.

        That view knows its job: it asks no history, even if the job ends before it is called.
        """
        found = find_live(self._operations, self._id)
        return None if found is None else partial(self._view, found)
