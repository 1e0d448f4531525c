"""Every exception of longop, with the HTTP status that each stands for.

Imports nothing of longop, so every module can raise what is here.
"""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import CancelledError
from typing import Any, Iterator, Mapping


class OperationCancelled(BaseException):
    """Raised by the callback, in the function's own thread, once its job was told to stop.

    It derives from ``BaseException``, as ``KeyboardInterrupt`` and asyncio's
    ``CancelledError`` do, so that an ``except Exception`` in the function does not swallow it.
    """


class ReportCancelled(CancelledError):
    """Raised by the callback in any other thread once its job was told to stop.

    It derives from ``Exception``, because that is what thread pools and libraries catch in
    their threads and pass on to the function. A ``BaseException`` would end such a thread, and
    the function would wait for it for ever, or assume that its work is done.
    """


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that led to it: causes, contexts and the errors in a group."""
    seen = set()
    left: list[Any] = [error]
    while left:
        one = left.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += _members_of(one)
            left += one.__context__, one.__cause__


def leaves_of(error: BaseException) -> list[BaseException]:
    """Return the errors in an ``ExceptionGroup``, also those in groups inside it."""
    seen = {id(error)}
    leaves = []
    todo = _members_of(error)[::-1]
    while todo:
        member = todo.pop()
        if id(member) in seen:
            continue
        seen.add(id(member))
        inner = _members_of(member)
        if not inner:
            leaves.append(member)
        todo += inner[::-1]
    return leaves


def is_cancel(error: BaseException | None) -> bool:
    """Return whether an error is a cancel, or a group of nothing but cancels."""
    if error is None:
        return False
    errors = leaves_of(error) or [error]
    return all(isinstance(one, (OperationCancelled, ReportCancelled)) for one in errors)


def is_unwinding() -> bool:
    """Return whether a cancel is being handled in this thread, or an error that it led to.

    It is while ``finally``, ``except`` and ``with`` blocks do their work.
    """
    # A generator that is closed sees only GeneratorExit, and a task only asyncio's own.
    cancels = (OperationCancelled, ReportCancelled, GeneratorExit)
    return any(isinstance(error, cancels) or _is_cancel_of_task(error)
               for error in chain(sys.exc_info()[1]))


def _is_cancel_of_task(error: BaseException) -> bool:
    """Return whether an error is asyncio's CancelledError, and the running task is to stop.

    It is not if the error came from a task that this one waits for, or from a timeout.
    """
    asyncio: Any = sys.modules.get("asyncio")  # if it was not imported, there is no task
    if asyncio is None or not isinstance(error, asyncio.CancelledError):
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return False
    # Before Python 3.11 a task does not tell.
    return task is not None and getattr(task, "cancelling", lambda: 1)() > 0


class LongOperationError(Exception):
    """The base of every error of longop itself."""

    #: The status of the HTTP response.
    status = 500
    #: Further headers of that response.
    headers: Mapping[str, str] = {}


class TargetError(LongOperationError):
    """The target or the function cannot be used; the message says why and what to do."""


class BadParameters(LongOperationError):
    """Parameters are missing, unknown or of the wrong type. Nothing was started.

    :param errors: what is wrong, by the parameter's name, such as ``"is missing"``.
    """

    status = 400

    def __init__(self, errors: Mapping[str, str]) -> None:
        texts = [f"parameter {name!r} {problem}" for name, problem in errors.items()]
        super().__init__("; ".join(texts))
        self.errors = dict(errors)


class UnknownJob(LongOperationError):
    """No job has this id."""

    status = 404


class ForgottenJob(LongOperationError):
    """A finished job had this id, but it is no longer kept."""

    status = 410


class Busy(LongOperationError):
    """Refused because jobs are still alive; ``job_id`` names one of them, or is empty.

    The HTTP status is 409 (Conflict), or 429 (Too Many Requests, RFC 6585) if the queue is
    full.

    :param retry_after: seconds after which another attempt may succeed, if the queue is full.
    """

    def __init__(self, message: str, job_id: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.status = 409
        if retry_after is not None:
            self.status = 429
            self.headers = {"Retry-After": str(retry_after)}


class KeyReused(LongOperationError):
    """A job was started with this key before, and with other parameters."""

    status = 422


class DeadlineExceeded(LongOperationError):
    """A job ran longer than its ``timeout``, or reported nothing for its ``stall_timeout``."""


class WorkerLost(LongOperationError):
    """What ran the function is gone, here or on another machine: its process, or the way to it."""

    #: The name of the signal that killed it, if that is known.
    means: str | None = None


class HistoryError(LongOperationError):
    """The file that keeps the history cannot be used."""


class RequestError(LongOperationError):
    """An HTTP request that cannot be served.

    :param headers: further headers of the response.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def _members_of(error: BaseException) -> list[BaseException]:
    """Return the errors in an ``ExceptionGroup``, of Python 3.11 or of its backport."""
    with contextlib.suppress(Exception):  # an attribute of a user's error may raise anything
        members = getattr(error, "exceptions", ())
        if isinstance(members, (list, tuple)):
            return [member for member in members if isinstance(member, BaseException)]
    return []
