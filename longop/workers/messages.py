"""The messages between an operation and the worker that runs its code, as records.

    operation                               worker
       │ ◀───────────────────────── Ready ──   │   a process: it listens
       │ ── Check ────────────────────────▶    │   a process: can it import the function?
       │ ◀─────────────────────── Checked ──   │
       │ ── Start ────────────────────────▶    │   a process: the call is in the message
       │ ◀───────────────────────── Hello ──   │   an executor: it has carried the call itself
       │ ── Welcome ──────────────────────▶    │
       │ ◀─ Begun, Reported, Grown …, Ended ─  │
       │ ── Cancel, Companion ────────────▶    │   at any time after Begun
       │ ── Bye ──────────────────────────▶    │   always answers Ended

All but the first three carry the id of their job, because a message may arrive late: a cancel
after the code has ended, a report after the next job has begun. It is dropped then.

On the wire a message is a tuple of plain values, its kind first. Which bytes these become is
for `channel` to say. The classes are not frozen only because a report would then take five
times as long to build.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from ..callback import Report
from .outcome import Outcome
from .parcel import Lost, Parcel, open_parts
from .sent_error import SentError


class Arrived:
    """What is known of a message where it has arrived, and is not one of its fields."""

    #: Which fields are not what they were, and why.
    lost: Lost = ()


@dataclass
class Message(Arrived):
    """What all messages have: a kind, which says on the wire which class it is."""

    kind: ClassVar[str]


# From the operation


@dataclass
class Check(Message):
    """Import what a pickled call needs, without making the call."""

    kind = "check"
    call: bytes


@dataclass
class Start(Message):
    """Make this pickled call."""

    kind = "start"
    job_id: str
    call: bytes


@dataclass
class Welcome(Message):
    """Make the call that the executor has carried."""

    kind = "welcome"
    job_id: str


@dataclass
class Cancel(Message):
    """Cancel the function's callback."""

    kind = "cancel"
    job_id: str


@dataclass
class Companion(Message):
    """Call the function's companion."""

    kind = "companion"
    job_id: str


@dataclass
class Bye(Message):
    """The operation knows that the code has ended, and sends nothing further for this job."""

    kind = "bye"
    job_id: str


# From the worker


@dataclass
class Ready(Message):
    """The process has begun and listens; its first message."""

    kind = "ready"


@dataclass
class Checked(Message):
    """The answer to `Check`: what went wrong, or None."""

    kind = "checked"
    error: SentError | None


@dataclass
class Hello(Message):
    """The worker has the call of this job from its executor, and asks whether to make it."""

    kind = "hello"
    job_id: str


@dataclass
class Begun(Message):
    """The function is about to be called, and the worker listens for a cancel."""

    kind = "begun"
    job_id: str


@dataclass
class Reported(Message):
    """The newest report; older ones that were not sent in time are left out."""

    kind = "reported"
    job_id: str
    count: int
    result: Any
    step: Any
    total: Any
    message: Any

    @property
    def latest(self) -> Report:
        """The report as callbacks keep it."""
        return self.count, self.result, self.step, self.total, self.message


@dataclass
class Grown(Message):
    """The newest report, if its result begins with the one before: only the rest of it."""

    kind = "grown"
    job_id: str
    count: int
    form: str  # see `growing.Rest`, and the next one too
    start: int
    result: Any  # its rest
    step: Any
    total: Any
    message: Any


@dataclass
class Ended(Message):
    """The code has ended. The outcome is None if the executor brings it."""

    kind = "ended"
    job_id: str
    outcome: Outcome | None


_CLASSES: dict[str, type[Message]] = {message.kind: message for message in (
    Check, Start, Welcome, Cancel, Companion, Bye, Ready, Checked, Hello, Begun, Reported,
    Grown, Ended)}


def to_wire(message: Message) -> tuple[Any, ...]:
    """Return a message as its kind and its fields."""
    return (message.kind, *vars(message).values())


def from_wire(wire: Any) -> Message:
    """Return the message that `to_wire` was given.

    Raises ``ValueError`` or ``TypeError`` for anything that is not a message.
    """
    kind, *fields = wire
    if kind not in _CLASSES:
        raise ValueError(f"{kind!r} is not a kind of message")
    if Parcel not in map(type, fields):
        return _CLASSES[kind](*fields)
    names = [field.name for field in dataclasses.fields(_CLASSES[kind])]
    values, lost = open_parts(names, fields)
    message = _CLASSES[kind](*values)
    message.lost = lost
    return message
