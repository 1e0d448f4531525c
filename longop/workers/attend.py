"""The operation's side of a call that runs elsewhere: reports come in, a cancel goes out."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..executors import Call
from ..job import Job
from .channel import Channel
from .messages import Begun, Bye, Cancel, Companion, Ended, Reported
from .outcome import Outcome, warn


def attend(job: Job[Any], call: Call, channel: Channel) -> Outcome | None:
    """Follow a job's call until its code has ended; return its outcome, if the worker sent it.

    The thread that calls this is the only reader of the channel. It always reads, so that a
    worker never waits with a full pipe. Other threads send: whichever cancels the job sends
    `Cancel`, and the job's guard `Companion`.

    Raises ``EOFError`` or ``OSError`` if the worker is lost, and what reading an outcome
    raises.
    """
    # The guard calls ``call.stop`` when the time has come. The companion has to run where the
    # function runs, so from here on that sends a message.
    call.stop = partial(channel.send, Companion(job.id))
    warned: set[str] = set()  # parts of reports; each is named once, however often it comes
    while True:
        message = channel.receive()
        if not isinstance(message, (Begun, Reported, Ended)) or message.job_id != job.id:
            continue  # late: it belongs to the job before, or to a check that took too long
        if isinstance(message, Reported):
            for part, why in message.lost:
                if part not in warned:
                    warn(job, part, why)
                warned.add(part)
            job.callback.receive(message.latest)
        elif isinstance(message, Begun):
            # Not before: until then the worker would not act on it. If the job is
            # cancelled already, the hook is called at once.
            job.callback.on_cancel(partial(channel.send, Cancel(job.id)))
        else:
            channel.send(Bye(job.id))
            return message.outcome
