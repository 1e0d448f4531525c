"""Every exception of longop, each with the HTTP status it stands for.

Knows nothing of the other modules, so that all of them can raise what is here.
"""

from __future__ import annotations

from typing import Mapping


class OperationCancelled(BaseException):
    """Raised by the callback inside the function when its job was told to stop.

    It derives from ``BaseException``, as ``KeyboardInterrupt`` and asyncio's ``CancelledError``
    do, so that an ``except Exception`` in the function does not swallow it.
    """


class LongOperationError(Exception):
    """The base of everything that longop itself finds wrong.

    ``status`` and ``headers`` are what HTTP answers with.
    """

    status = 500
    headers: Mapping[str, str] = {}


class TargetError(LongOperationError):
    """There is nothing to run at the place that was named."""


class BadParameters(LongOperationError):
    """Parameters that are missing, unknown or of the wrong type; nothing was started.

    ``errors`` maps each such parameter's name to what is wrong with it.
    """

    status = 400

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"parameter {name!r} {what}" for name, what in errors.items()))
        self.errors = dict(errors)


class UnknownJob(LongOperationError):
    """No job has this id."""

    status = 404


class ForgottenJob(LongOperationError):
    """A finished job had this id, but it is no longer kept."""

    status = 410


class Busy(LongOperationError):
    """Something is not possible while jobs are alive, of which ``job_id`` is one.

    A start that is rejected or a job that cannot be forgotten yet (409), or, with ``retry_after``,
    a guess in seconds, a queue that is full (429).
    """

    def __init__(self, message: str, job_id: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = 409 if retry_after is None else 429
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self.job_id = job_id


class KeyReused(LongOperationError):
    """A job was started under this key before, with other parameters."""

    status = 422


class DeadlineExceeded(LongOperationError):
    """A job ran longer than its ``timeout``, or was silent longer than its ``stall_timeout``."""


class WorkerLost(LongOperationError):
    """The process that ran the function has died, on this machine or on another one.

    ``means`` names the signal that has killed it, if that is known.
    """

    means: str | None = None


class HistoryError(LongOperationError):
    """The file that is to remember the jobs cannot be used."""


class RequestError(LongOperationError):
    """An HTTP request that cannot be served."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
