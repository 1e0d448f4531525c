"""Checkpoints in a long command, which knows nothing of callbacks.

    thread of the job        the command uses its adapter ──▶ checkpoint()
                                                                │ soon
    timer thread             look: command_status() ──▶ Callback, and so to every door
    timer thread             after a cancel: cancel_command_task(), then, or after the
                             grace period, the next checkpoint raises OperationCancelled

The command reports by setting attributes of its adapter. Each use of an attribute, to set or
to read it, is a checkpoint at which a cancel takes hold; but only in the command's thread.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from typing import Any, Callable, Protocol

from ..callback import Callback
from ..job import logger

REPORT_DELAY = 0.02  # seconds from a change of the adapter to the report of it
#: Seconds for a command that says it ends by itself, and then for its ``finally`` blocks.
GRACE = 2.0

#: In the thread of a long command: its ``checkpoint``, or None.
running = threading.local()


class Commanded(Protocol):
    """What is used of an adapter here."""

    force_shutdown: bool

    def command_status(self) -> Any:
        """Return what is said of a long command while it runs."""

    def cancel_command_task(self) -> None:
        """Have the long command stop."""


def checkpoint() -> None:
    """Raise `OperationCancelled` in the thread of a long command that is to stop."""
    check: Callable[[], None] | None = getattr(running, "checkpoint", None)
    if check is not None:
        check()


class Checkpoints:
    """Makes each use of an adapter in this thread a checkpoint, while it is entered.

    :param callback: the job's callback. It gets the reports, and brings the cancel.

    Entering returns another callback, ``force``. It is cancelled once longop may stop the
    command itself: at once, or, if the adapter has set ``force_shutdown`` to False because it
    stops the command, after `GRACE` seconds.
    """

    def __init__(self, runner: Commanded, callback: Callback) -> None:
        self._runner = runner
        self._callback = callback
        self._force = Callback()
        self._raises_at = 0.0  # time.monotonic(); not before then
        # Set by the thread of the command, cleared by the timer's: a look is on its way.
        self._will_look = False
        self._turns = itertools.count(1)  # next() of it is atomic
        # Guards the number of the last look that reported, and the callback's latest report.
        self._reporting = threading.Lock()
        self._last_turn = 0
        callback.on_cancel(self._cancel)

    def __enter__(self) -> Callback:
        running.checkpoint = self._check
        return self._force

    def __exit__(self, *error: object) -> None:
        running.checkpoint = None
        self._look()  # what was set since the last look is not to be lost

    def _check(self) -> None:
        """Be a checkpoint. Called in the thread of the command, at each use of the adapter."""
        if not self._will_look:
            self._will_look = True
            # Later: a command sets several attributes that belong together, and to look after
            # each of them would cost too much.
            call_later(REPORT_DELAY, self._look)
        if self._force.cancelled and time.monotonic() >= self._raises_at:
            # While the exception is on its way out, ``finally`` blocks may use the adapter. A
            # command that has swallowed it is raised in again after the grace period.
            self._raises_at = time.monotonic() + GRACE
            self._force.check()

    def _look(self) -> None:
        """Report what the adapter says of its command, if it says something new.

        Called in the threads of timers, and at the end in that of the command. Looks may
        overlap: one that a later look has overtaken reports nothing.
        """
        # Cleared before the look, so that a change after it causes another one.
        self._will_look = False
        turn = next(self._turns)
        with contextlib.suppress(Exception):  # command_status() may not be ready to answer
            said = self._runner.command_status() or {}
            with self._reporting:
                if turn > self._last_turn:
                    self._last_turn = turn
                    self._report(said)

    def _report(self, said: Any) -> None:
        """Pass on what is new to the job. Called with the lock held."""
        count, *old = self._callback.latest
        new = [said.get(key) for key in ("result", "step", "total", "message")]
        new = [before if now is None else now for before, now in zip(old, new)]
        if new != old:
            latest: Any = (count + 1, *new)
            self._callback.receive(latest)

    def _cancel(self) -> None:
        """Have the command stop. Called once, in the thread that cancels; must not block."""
        # The command sees only ``force``. Setting this makes the job end as cancelled, not as
        # completed, even if the command then ends by itself.
        self._callback.told = True
        call_later(GRACE, self._force.cancel)
        call_later(0, self._cancel_task)  # in a thread: it may wait for the command's end

    def _cancel_task(self) -> None:
        try:
            self._runner.cancel_command_task()
        except (Exception, SystemExit):
            logger.exception("%s.cancel_command_task", type(self._runner).__name__)
        # Read afterwards: this is where an adapter sets it.
        if self._runner.force_shutdown:
            self._force.cancel()


def call_later(seconds: float, function: Callable[[], object]) -> None:
    """Call a function after so many seconds, in a thread of its own that delays no exit."""
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()
