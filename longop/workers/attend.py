"""The operation's side of a call that runs elsewhere: reports come in, a cancel goes out."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, Sequence

from ..executors import Call, companion_rungs
from ..guard import Guard, Rung
from ..job import Job
from .channel import Channel
from .growing import Received, Rest
from .messages import Begun, Bye, Cancel, Companion, Ended, Grown, Message, Reported
from .outcome import Outcome, warn


class FarCall:
    """A job's call that runs elsewhere: it begins there or not, and is followed to its end.

    :param signals: rungs beyond the companion, if there is something that can be killed.
    """

    def __init__(self, job: Job[Any], call: Call, guard: Guard,
                 signals: Sequence[Rung] = ()) -> None:
        self.job = job
        self.call = call
        # Decides between a begin and a cancel. Held while the call is sent, so a companion that
        # is due finds that the code begins, and is behind the call in the pipe; or finds that
        # it does not, and then it never will, since the job was told to stop before.
        self._lock = threading.Lock()
        self._channel: Channel | None = None  # there while the code may run
        self.is_refused = False  # it must never begin
        self._begun = guard(job, [*companion_rungs(call, self._call_companion), *signals])

    def begin(self, channel: Channel, message: Message) -> bool:
        """Send the message with which the code begins; return False if it must not begin.

        That is so if the job was told to stop meanwhile. Called once, by the thread that will
        call `attend`.
        """
        with self._lock:
            if self.job.is_stopping:
                self.is_refused = True
                return False
            channel.send(message)
            self._channel = channel
        return True

    def attend(self, channel: Channel) -> Outcome | None:
        """Follow the call until its code has ended; return its outcome, if the worker sent it.

        The thread that calls this is the only reader of the channel. It always reads, so that
        a worker never waits with a full pipe. Other threads send: whichever cancels the job
        sends `Cancel`, and the job's guard `Companion`.

        Raises ``EOFError`` or ``OSError`` if the worker is lost, and what reading an outcome
        raises.
        """
        try:
            return self._follow(channel)
        finally:
            with self._lock:
                self._channel = None

    def _follow(self, channel: Channel) -> Outcome | None:
        job_id = self.job.id
        reports = _Reports(self.job)
        while True:
            message = channel.receive()
            if not isinstance(message, (Begun, Reported, Grown, Ended)) or message.job_id != job_id:
                continue  # late: it belongs to the job before, or to a check that took too long
            if isinstance(message, (Reported, Grown)):
                reports.take(message)
            elif isinstance(message, Begun):
                self._begun()
                # Not before: until then the worker would not act on it. If the job is
                # cancelled already, the hook is called at once.
                self.job.callback.on_cancel(partial(channel.send, Cancel(job_id)))
            else:
                channel.send(Bye(job_id))
                return message.outcome

    def _call_companion(self) -> None:
        """Have the companion called where the function runs. Called by the job's guard."""
        with self._lock:
            channel = self._channel
        if channel is not None:
            act = partial(channel.send, Companion(self.job.id))
            self.job.stop_by(self.call.stop_name, act)


class _Reports:
    """Gives a job the reports that come from its worker."""

    def __init__(self, job: Job[Any]) -> None:
        self._job = job
        self._received = Received()
        self._warned: set[str] = set()  # each lost part is named once, however often it comes

    def take(self, message: Reported | Grown) -> None:
        """Pass the newest report on to the job's callback."""
        for part, why in message.lost:
            if part not in self._warned:
                warn(self._job, part, why)
            self._warned.add(part)
        if isinstance(message, Grown):
            rest = Rest(message.form, message.start, message.result)
            result = self._received.add(rest)
        else:
            result = self._received.set(message.result)
        self._job.callback.receive(
            (message.count, result, message.step, message.total, message.message))
