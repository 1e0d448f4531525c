"""Jobs in a terminal: shown until all have ended, and cancelled by Ctrl-C.

    follow: the newest status of each job ──▶ ten times a second ──▶ views: what is new

It takes no thread: the one that calls `progress` looks and draws.
"""

from __future__ import annotations

import sys
from typing import IO, Any, Callable, overload

from ..operation import LongOperation
from ..status import Status
from .follow import PERIOD, FollowedJobs, Watchable
from .signals import Deferral
from .views import View, view_of


@overload
def progress(job: Watchable, /, *, file: IO[str] | None = None,
             json: bool = False) -> Status: ...
@overload
def progress(operation: LongOperation[..., Any], /, *more: Watchable | LongOperation[..., Any],
             file: IO[str] | None = None, json: bool = False) -> list[Status]: ...
@overload
def progress(job: Watchable, second: Watchable | LongOperation[..., Any], /,
             *more: Watchable | LongOperation[..., Any], file: IO[str] | None = None,
             json: bool = False) -> list[Status]: ...


def progress(*jobs: Any, file: IO[str] | None = None,
             json: bool = False) -> Status | list[Status]:
    """Show a job until it has ended; return its last status.

    Of several jobs each has a line, and the last statuses are a list. An operation stands for
    all its jobs that are alive, and those that are started meanwhile.

    On a terminal and in a notebook, what is printed meanwhile stands above the lines.

    :param file: where to, instead of standard error.
    :param json: show each status as a line of JSON instead.

    Ctrl-C cancels the jobs, and they are shown until their end. A second one raises
    ``KeyboardInterrupt``; then they may still run.
    """
    shown = FollowedJobs(jobs)
    statuses = _show(shown, file, json)
    if statuses is None:
        raise KeyboardInterrupt
    return statuses[0] if shown.is_single else statuses


def progress_from(start: Callable[[], Watchable], *, file: IO[str] | None = None,
                  json: bool = False) -> Status:
    """Start a job and show it as `progress` does, with what it prints from its begin on.

    :param start: starts the job; what it raises is raised here.
    """
    statuses = _show(FollowedJobs((), start), file, json)
    if statuses is None:
        raise KeyboardInterrupt
    return statuses[0]


def _show(shown: FollowedJobs, file: IO[str] | None, json: bool) -> list[Status] | None:
    """Show jobs until they have ended; return their last statuses, or None if Ctrl-C left.

    That is told so, and not raised, so that a user's traceback has no lines from in here.
    """
    try:
        with view_of(sys.stderr if file is None else file, json, shown) as view:
            is_left = _follow(shown, view)
    finally:
        shown.close()
    return None if is_left else shown.latest()


def _follow(shown: FollowedJobs, view: View) -> bool:
    """Show the jobs until they have ended, cancelled if Ctrl-C is pressed; True if it is to leave.

    It is if it is pressed once more, or before there is a job.
    """
    try:
        shown.begin()
    except KeyboardInterrupt:
        return True
    is_interrupted = False
    with Deferral() as interrupts:
        while True:
            try:
                if is_interrupted:
                    shown.cancel()
                _show_until_end(shown, view, interrupts)
                return False
            except KeyboardInterrupt:
                if is_interrupted:
                    return True
                is_interrupted = True


def _show_until_end(shown: FollowedJobs, view: View, interrupts: Deferral) -> None:
    while True:
        shown.changed.clear()  # before the look: an end after the look sets it again
        live = shown.look()
        view.show(live)
        if all(one.is_over for one in live):
            return
        # With a timeout, because Ctrl-C does not end the wait.
        shown.changed.wait(PERIOD)
        interrupts.check()
