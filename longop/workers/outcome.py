"""The outcome of a call that ran elsewhere, in a form that can be sent.

A function may return or raise anything, including objects that cannot be pickled. This module
decides what is sent in their place. It knows nothing of connections.
"""

from __future__ import annotations

import pickle
import traceback
from typing import Any, NamedTuple

from .. import jsontext
from ..callback import Report
from ..errors import LongOperationError
from ..job import Job


class SentError(NamedTuple):
    """An error as it is sent: itself, if it can be pickled, and always its description."""

    error: BaseException | None
    name: str
    text: str
    traceback: str

    @classmethod
    def describe(cls, error: BaseException) -> SentError:
        """Prepare an error that was just caught, with its traceback."""
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        travels = error if _survives_pickling(error) else None
        return cls(travels, type(error).__name__, jsontext.to_text(error), "".join(lines))

    def revive(self) -> BaseException:
        """Return the error. Its cause shows the traceback from the worker.

        One that could not be pickled becomes a `LongOperationError` of the same name.
        """
        revived = self.error
        if revived is None:
            revived = type(self.name, (LongOperationError,), {})(self.text)
        revived.__cause__ = RuntimeError(f"\n{self.traceback}")
        return revived


class Outcome(NamedTuple):
    """How a call has ended: its last report, and its value or its error."""

    latest: Report
    told: bool  # whether the function noticed that it was to stop
    value: Any = None
    error: SentError | None = None

    def settle(self, job: Job[Any]) -> Any:
        """Give a job's callback the last report; return the value or raise the error."""
        job.callback.receive(self.latest)
        job.callback.told = job.callback.told or self.told
        if self.error is not None:
            raise self.error.revive()
        return self.value


class PortableOutcome(Outcome):
    """An outcome that every executor can pickle; it arrives as a plain `Outcome`."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        # The executor pickles it with a pickler of its own, which would fail on a value that
        # cannot be pickled. It gets bytes instead.
        return pickle.loads, (pickled(Outcome(*self)),)


def pickled(record: tuple[Any, ...]) -> bytes:
    """Pickle a record; a field that cannot be pickled goes as JSON would show it."""
    try:
        return pickle.dumps(record)
    except Exception:
        return pickle.dumps(_portable_record(record))


def _portable_record(record: tuple[Any, ...]) -> tuple[Any, ...]:
    fields = [_portable(field) for field in record]
    if isinstance(record, Outcome):
        return Outcome(*fields)
    return tuple(fields)


def _portable(value: Any) -> Any:
    """Return a value if it can be pickled, else what JSON makes of it."""
    if isinstance(value, Outcome):
        # Field by field, so that a report that cannot be pickled does not spoil the error.
        return _portable_record(value)
    try:
        pickle.dumps(value)
    except Exception:
        return jsontext.loads(jsontext.dumps(value))
    return value


def _survives_pickling(error: BaseException) -> bool:
    """Return whether an error can be pickled and read again.

    Reading fails for many classes: their ``__init__`` takes other arguments than ``args``
    holds.
    """
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True
