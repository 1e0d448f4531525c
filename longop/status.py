"""The status of a job: its states, which may follow which, and the record every door shows.

Knows nothing of what makes a job change: that is `job`.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any, Iterator, Mapping, NamedTuple

from .errors import DeadlineExceeded, OperationCancelled, WorkerLost, is_cancel, leaves_of
from .values.growth import Growth
from .values.jsontext import to_text

# A version is raised to the next multiple of this at a restart of the server: more than a job
# can report between two saves, and so few digits that JavaScript counts 9,000 restarts exactly.
_RESTART = 10 ** 12
MAX_ERROR = 10_000  # characters of an error's text, which goes to every watcher
_MAX_ERRORS = 20  # that are in such a text
_MAX_MEMBERS = 5  # of a group
_MAX_NOTES = 20  # of an error
# How the text of a cause begins that only brings the traceback from another process, as ours
# and those of ``concurrent.futures`` and ``multiprocessing.pool`` do.
_TRACEBACK = "Traceback (most recent call last)"


class State(str, Enum):
    """Where a job is in its life. In JSON it is its value, such as ``"running"``."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"  # told to stop, and still running
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"  # told to stop, and stopped
    INTERRUPTED = "interrupted"  # stopped because its server ended

    @property
    def is_terminal(self) -> bool:
        """True if nothing follows: the code has ended."""
        return self not in TRANSITIONS


#     queued ───────────▶ running ─────────────▶ completed, failed, cancelled
#       │ cancel             │ cancel
#       ▼                    ▼
#     cancelled,          cancelling ──────────▶ completed, failed, cancelled, interrupted
#     interrupted
#
# - A state that is not a key here is terminal.
# - `queued` follows itself when the job moves up in the queue.
# - `cancelling` may still become `completed` or `failed`, because a cancel is a request: a
#   function that never looks, or is past its last report, ends by itself, and that is shown.
# - `running` becomes `cancelled` directly if the function raises OperationCancelled itself.
TRANSITIONS: dict[State, set[State]] = {
    State.QUEUED: {State.QUEUED, State.RUNNING, State.CANCELLED, State.INTERRUPTED},
    State.RUNNING: {State.CANCELLING, State.COMPLETED, State.FAILED, State.CANCELLED},
    State.CANCELLING: {State.COMPLETED, State.FAILED, State.CANCELLED, State.INTERRUPTED},
}


_TEXT = (str,)
_TEXT_OR_NONE = (str, type(None))
_NUMBER_OR_NONE = (int, float, type(None))
# What the fields of a status are in JSON, but for those that the function reports.
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "id": _TEXT, "module": _TEXT, "operation": _TEXT, "created_at": _TEXT, "version": (int,),
    "error": _TEXT_OR_NONE, "stop_reason": _TEXT_OR_NONE, "started_at": _TEXT_OR_NONE,
    "finished_at": _TEXT_OR_NONE, "cancel_requested_at": _TEXT_OR_NONE,
    "progress": _NUMBER_OR_NONE, "elapsed": _NUMBER_OR_NONE, "eta": _NUMBER_OR_NONE,
    "queue_position": _NUMBER_OR_NONE}


@dataclass(frozen=True)
class Status:
    """A frozen snapshot of a job; ``vars(status)`` is its form in JSON. Unknown is ``None``.

    ``result, step, total, message`` are as the function last reported them; once it has
    returned a value, that is the ``result``. What a cancelled or failed job reported is kept.
    ``progress`` is 0 to 1. ``elapsed`` (running time so far) and ``eta`` (time left) are
    seconds. Times are ISO 8601 in UTC. ``queue_position`` is 1 for the job that starts next.
    ``version`` grows with each change of the job.
    """

    id: str
    module: str
    operation: str
    state: State = State.QUEUED
    result: Any = None
    step: Any = None
    total: Any = None
    progress: float | None = None
    message: Any = None
    error: str | None = None
    stop_reason: str | None = None
    created_at: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    cancel_requested_at: str | None = None
    elapsed: float | None = None
    eta: float | None = None
    queue_position: int | None = None
    version: int = 0

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Status:
        """Return the status that was written as JSON, perhaps by another version of longop.

        What it does not know is left out. Raises ``ValueError`` for what is no status.
        """
        if not isinstance(fields, dict):
            raise ValueError("it is not an object")
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        status = cls(**{"id": None, "module": None, "operation": None, **known})
        for name, types in _JSON_TYPES.items():
            if not isinstance(getattr(status, name), types):
                raise ValueError(f"its {name} is {getattr(status, name)!r:.80}")
        return status.replace(state=State(status.state))

    def settled(self) -> Status:
        """Return the status with a result that does not grow any more."""
        if type(self.result) is not Growth:
            return self
        return self.replace(result=self.result.value())

    def replace(self, **changes: Any) -> Status:
        """Return a copy with some fields changed."""
        # Each poll makes a copy, so this is fast: `dataclasses.replace` calls __init__ with
        # every field and takes six times as long.
        changed: Status = object.__new__(Status)
        fields = changed.__dict__
        fields.update(self.__dict__)
        fields.update(changes)
        return changed


class Times(NamedTuple):
    """The part of a status that differs from moment to moment, although nothing has happened."""

    version: int
    elapsed: float | None
    eta: float | None


class Ending(NamedTuple):
    """How a job has ended."""

    state: State
    #: Its ``stop_reason``.
    reason: str | None
    error: BaseException | None
    #: What stopped it beyond its callback, if anything.
    means: str | None = None
    #: The function's own error, if a deadline takes the place of it.
    cause: BaseException | None = None


def judge(error: BaseException | None, *, told: bool, means: str | None, reason: str | None,
          overdue: DeadlineExceeded | None) -> Ending:
    """Decide how a job has ended. Of these rules the first that fits holds.

    - A deadline had stopped it: failed, whatever came of it.
    - It was told to stop and knew, or was stopped by force: cancelled, or interrupted.
    - It raised: failed.
    - Otherwise it completed, even if it was told to stop: it never looked.

    :param error: what the function raised, if it did.
    :param told: whether the function has seen that it is to stop.
    :param means: what was tried to stop it beyond its callback.
    :param reason: why it was told to stop.
    :param overdue: the deadline that stopped it.
    """
    was_stopped = told or means is not None or isinstance(error, OperationCancelled)
    if means is not None and isinstance(error, WorkerLost):
        means = error.means or means  # the signal that came first may be an earlier rung's
        error = None  # a lost worker is how it stopped, not what went wrong
    elif isinstance(error, OperationCancelled) or (told and is_cancel(error)):
        error = None
    if overdue is not None:
        return Ending(State.FAILED, reason, overdue, means, cause=error)
    if was_stopped:
        state = State.INTERRUPTED if reason == "interrupted" else State.CANCELLED
        return Ending(state, state.value, error, means)
    if error is not None:
        return Ending(State.FAILED, "error", error)
    return Ending(State.COMPLETED, "completed", None)


def describe(error: BaseException | None, means: str | None) -> str | None:
    """Return one text for a job's error and what stopped it, or None if there is neither.

    The first line is the error's type and message. Those below say why: its notes, the members
    of a group, and its cause. The text has at most 10,000 characters.
    """
    lines = [] if error is None else [*_explain(error, set())]
    parts = lines[:1]
    if means is not None:
        parts.append(f"stopped by {means}")
    return _cut("\n".join(["; ".join(parts), *lines[1:]])) or None


def estimate(step: Any, total: Any,
             elapsed: float | None) -> tuple[float | None, float | None]:
    """Return the progress, 0 to 1, and the seconds left; None for what cannot be told.

    ``step`` and ``total`` are what the function reported: they may be anything.
    """
    progress = _fraction(step, total)
    if not elapsed or progress is None or progress <= 1e-6:  # too early to say
        return progress, None
    return progress, to_milliseconds(elapsed / progress - elapsed)


def to_milliseconds(seconds: float) -> float:
    """Return a time span, which is not negative, to the millisecond."""
    # Each poll has two of them, and `round` takes three times as long.
    return int(seconds * 1000 + 0.5) / 1000


def version_after_restart(version: int) -> int:
    """Return a version that no client has seen of a job, given the last one that was saved.

    Between that and the end of the server there may have been many more.
    """
    return (version // _RESTART + 1) * _RESTART


def timestamp(moment: float | None = None) -> str:
    """Return a moment of the wall clock, or now, as ISO 8601 in UTC to the millisecond."""
    if moment is None:
        moment = time.time()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    milliseconds = int(moment * 1000) % 1000
    return f"{seconds}.{milliseconds:03d}Z"


def _fraction(step: Any, total: Any) -> float | None:
    try:
        fraction = float(step) / float(total)
    except Exception:  # a user's number may raise anything
        return None
    if not fraction >= 0:  # negative, or NaN
        return None
    return min(fraction, 1.0)


# An error as text


def _explain(error: BaseException, seen: set[int]) -> Iterator[str]:
    """Yield a line for an error, and others that say why.

    :param seen: the ``id`` of each error that has its line: causes can go in a circle.
    """
    seen.add(id(error))
    text = to_text(error)
    name = type(error).__name__
    yield f"{name}: {text}" if text else name
    yield from _notes_of(error)
    leaves = leaves_of(error)
    for leaf in leaves[:_MAX_MEMBERS]:
        start = "- "
        for line in _explain(leaf, seen):
            yield start + line
            start = "  "
    if len(leaves) > _MAX_MEMBERS:
        yield f"and {len(leaves) - _MAX_MEMBERS:,} more"
    word, cause = _cause_of(error)
    if cause is not None and id(cause) not in seen and len(seen) < _MAX_ERRORS:
        first, *more = _explain(cause, seen)
        yield f"{word}: {first}"
        yield from more


def _notes_of(error: BaseException) -> list[str]:
    """Return what ``add_note`` has added (Python 3.11)."""
    with contextlib.suppress(Exception):  # an attribute of a user's error may raise anything
        notes = getattr(error, "__notes__", None)
        if isinstance(notes, (list, tuple)):
            return [to_text(note) for note in notes[:_MAX_NOTES]]
    return []


def _cause_of(error: BaseException) -> tuple[str, BaseException | None]:
    """Return the error behind an error, and a word for how it is behind it."""
    if isinstance(error, WorkerLost):
        return "", None  # ours: its text says it all
    cause = error.__cause__
    # A cancel that the error came out of is shown by the state.
    if is_cancel(cause):
        return "", None
    if cause is not None:
        is_traceback = to_text(cause).lstrip(' \n"').startswith(_TRACEBACK)
        # What a function raises after its deadline is not its cause: see `Ending.cause`.
        word = "ended with" if isinstance(error, DeadlineExceeded) else "cause"
        return word, None if is_traceback else cause
    context = error.__context__
    if error.__suppress_context__ or is_cancel(context):
        context = None
    return "while handling", context


def _cut(text: str) -> str:
    """Return a text without its middle if it is too long."""
    if len(text) <= MAX_ERROR:
        return text
    left_out = f"\n... {len(text) - MAX_ERROR:,} characters are left out ...\n"
    half = (MAX_ERROR - len(left_out)) // 2
    return text[:half] + left_out + text[-half:]
