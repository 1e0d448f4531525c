"""Checkpoints in a long command, which knows nothing of callbacks.

    thread of the job        the command uses its adapter ──▶ checkpoint()
                                                                │ soon
    thread of the looks      look: command_status() ──▶ Callback, and so to every door
    timer thread             after a cancel: cancel_command_task(), then, or after the
                             grace period, the next checkpoint raises OperationCancelled

The command reports by setting attributes of its adapter. Each use of an attribute, to set or
to read it, is a checkpoint at which a cancel takes hold; but only in the command's thread. What
is in a file, or set by another thread, is found by a look every second.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Callable, Protocol

from ..callback import Callback
from ..job import logger
from . import progress

REPORT_DELAY = 0.02  # seconds from a change of the adapter to the report of it
LOOK_INTERVAL = 1.0  # seconds to the next look if the command does not use its adapter
#: A look that takes long, since it encodes pictures perhaps, is followed by a pause that is so
#: many times as long: the looks take a tenth of the time at most.
_PAUSE_RATIO = 9
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
        # Set by the thread of the command, cleared by that of the looks: there is news.
        self._changed = threading.Event()
        self._has_ended = threading.Event()
        # Guards the callback's latest report, and that none follows the one at the end.
        self._reporting = threading.Lock()
        callback.on_cancel(self._cancel)

    def __enter__(self) -> Callback:
        running.checkpoint = self._check
        threading.Thread(target=self._keep_looking, daemon=True).start()
        return self._force

    def __exit__(self, *error: object) -> None:
        running.checkpoint = None
        self._look(is_last=True)  # what was set since the last look is not to be lost
        self._changed.set()  # so that the other thread sees that it is over

    def _check(self) -> None:
        """Be a checkpoint. Called in the thread of the command, at each use of the adapter."""
        if not self._changed.is_set():
            self._changed.set()
        if self._force.cancelled and time.monotonic() >= self._raises_at:
            # While the exception is on its way out, ``finally`` blocks may use the adapter. A
            # command that has swallowed it is raised in again after the grace period.
            self._raises_at = time.monotonic() + GRACE
            self._force.check()

    def _keep_looking(self) -> None:
        """Look after each change, and now and then. Runs in a thread of its own, to the end."""
        pause = REPORT_DELAY
        while True:
            self._changed.wait(LOOK_INTERVAL)
            # A moment later: a command sets several attributes that belong together.
            if self._has_ended.wait(pause):
                return
            self._changed.clear()  # before the look, so that a change after it causes another
            began = time.monotonic()
            self._look()
            pause = max(REPORT_DELAY, _PAUSE_RATIO * (time.monotonic() - began))

    def _look(self, is_last: bool = False) -> None:
        """Report what the adapter says of its command, if it says something new.

        Called in the thread of the looks, and at the end in that of the command; both may be
        here. A look that has not come back by the end reports nothing.
        """
        said = progress.Said()
        with contextlib.suppress(Exception):  # command_status() may not be ready to answer
            said = progress.read(self._runner.command_status() or {})
        with self._reporting:
            if not self._has_ended.is_set():
                self._report(said)
            if is_last:
                self._has_ended.set()

    def _report(self, said: progress.Said) -> None:
        """Pass on what is new to the job. Called with the lock held."""
        count, *old = self._callback.latest
        new = [before if now is None else now for before, now in zip(old, said)]
        if progress.differ(new, old):
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
