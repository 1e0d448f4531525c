"""The callback that a function is handed: reports go out, a cancel comes in.

    function ── call ──▶ latest: the newest report, and no older one
             ◀─ raise ── an Event that `cancel` sets

A call is a report *and* the checkpoint at which a cancel takes hold. Only the newest report is
kept, so a function that reports a million times a second costs its watchers nothing. Knows
nothing of jobs: it works the same wherever the function's code runs.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, NoReturn, Tuple
from weakref import WeakSet

from .errors import OperationCancelled, ReportCancelled, is_unwinding
from .values.annotations import signature_of
from .values.growth import Growth, grow
from .values.log import logger
from .values.series import Point, Series
from .values.waits import wait_for

# How many reports there were, then result, step, total and message.
Report = Tuple[int, Any, Any, Any, Any]


class _Nothing:
    """What a report returns: false, and nothing to wait for.

    Libraries read a true value as "stop", and asynchronous ones await whatever they get.
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __await__(self) -> Iterator[None]:
        return iter(())


#: What each report returns, unless ``report=`` says what.
NOTHING = _Nothing()

# Held while a growth is begun, which is once or twice in a job.
_beginning = threading.Lock()


class Callback:
    """Report progress by calling it; stop when it raises.

    ``callback(result=None, step=None, total=None, message=None)`` tells how far the function
    is. What is ``None`` stays as it was. What it returns is false, and can be awaited.
    ``callback.append(piece, step=None, total=None, message=None)`` reports what is new of a
    result that grows.

    Any thread may call it. Once the job is to stop it raises `OperationCancelled` in the
    function's own thread, and `ReportCancelled` in any other. While one of these is being
    handled, in ``finally`` for example, it does not raise again.

    A copy of it is the callback itself. In another process there is nobody to report to: it
    cannot be pickled, and in a fork it raises ``RuntimeError``.
    """

    # A report is a hot path, so no lock guards these. Each is replaced by one assignment and
    # never changed in place: a reader in any thread sees the old value or the new one. The
    # first two let libraries treat it as any function: set attributes, refer to it weakly.
    __slots__ = ("__dict__", "__weakref__", "_cancelled", "_due", "_growth", "_hooks",
                 "_is_cancelled", "_is_orphan", "_series", "_thread", "hints", "latest", "notify",
                 "told")

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._is_cancelled = False  # whether the event is set: each report looks
        self._is_orphan = False  # in a fork, where it is nobody's
        self._hooks: deque[Callable[[], object]] = deque()
        # The ident of the function's own thread, or 0 after its end. None if that is unknown:
        # then every thread is taken for it.
        self._thread: int | None = None
        #: The newest report. Its result may be a `Growth`.
        self.latest: Report = (0, None, None, None, None)
        # What `append` adds to, until a report sets the result.
        self._growth: Growth | None = None
        self._series: Series | None = None  # made by the first report
        # How many reports there are when one is to be looked at: the first, then those that
        # are points of the series.
        self._due = 0
        #: Called after each report, in the function's thread; None while nobody watches.
        self.notify: Callable[[], None] | None = None
        #: Whether the function has seen that it is to stop.
        self.told = False
        #: Whether to log a hint if the first report looks like another order of arguments.
        self.hints = True

    def __call__(self, result: Any = None, step: Any = None, total: Any = None,
                 message: Any = None, *more: NoReturn, **unknown: NoReturn) -> Any:
        """Report, then raise `OperationCancelled` or `ReportCancelled` if the job is to stop.

        Raises ``TypeError`` for any other arguments.
        """
        count, old_result, old_step, old_total, old_message = self.latest
        if more or unknown:
            self._refuse((result, step, total, message, *more), unknown)
        if result is not None:
            self._growth = None  # the next `append` begins with this result
        elif self._growth is not None:
            result = self._growth  # not the old one: another thread may have appended just now
        else:
            result = old_result
        # One assignment: a reader in another thread never sees half a report.
        self.latest = (count + 1,
                       result,
                       old_step if step is None else step,
                       old_total if total is None else total,
                       old_message if message is None else message)
        if count >= self._due:
            self._look(result, step, total, message)
        notify = self.notify  # read once: another thread may clear it at any moment
        if notify is not None:
            notify()
        if self._is_cancelled:
            self.check()
        return NOTHING

    def append(self, piece: Any, step: Any = None, total: Any = None,
               message: Any = None) -> Any:
        """Report what is new of a result that grows, then raise as a report does.

        The result is what was appended so far: a text of ``str`` pieces, ``bytes`` of bytes, a
        list of any other items. It begins with the result reported before, if a piece can
        follow that. A piece costs the same however long the result is.

        :param piece: the new text, bytes or item. With ``None`` the result stays as it is.

        Raises ``TypeError`` for a piece of another kind than those before.
        """
        if piece is not None:
            growth = self._growth
            if growth is None:
                growth = self._begin_growth(piece)
            growth.add(piece)
        return Callback.__call__(self, None, step, total, message)

    def __copy__(self) -> Callback:
        return self

    def __deepcopy__(self, memo: object) -> Callback:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(f"the callback of a job cannot be pickled: {_ALONE}")

    if not TYPE_CHECKING:  # to which any name would be there

        def __getattr__(self, name: str) -> Any:
            # What functions have. The class cannot define it: these are names of its own too.
            if name in ("__name__", "__qualname__"):
                return "callback"
            if name == "__signature__":
                return self._shape()
            raise AttributeError(f"the callback has no attribute {name!r}")

    def receive(self, latest: Report) -> None:
        """Take over the newest report of the twin. Called in the thread that receives it.

        One that was received before is not: an outcome brings the last report once more.
        """
        if latest[0] == self.latest[0]:
            return
        self.latest = latest
        if latest[0] > self._due:
            self._take(latest)
        notify = self.notify
        if notify is not None:
            notify()

    @property
    def cancelled(self) -> bool:
        """True once the job is to stop; for functions that prefer to ask."""
        if self._is_cancelled:
            if self._is_orphan:
                raise RuntimeError(f"the callback of a job cannot be used in a fork: {_ALONE}")
            self.told = True
        return self.told

    def check(self) -> None:
        """Raise as a report does if the job is to stop; report nothing."""
        if not self.cancelled or is_unwinding():
            return
        if self._thread in (None, threading.get_ident()):
            raise OperationCancelled("the job was cancelled")
        raise ReportCancelled("the job was cancelled")

    def wait(self, seconds: float) -> None:
        """Sleep for some seconds; a cancel ends the sleep, and raises as a report does.

        Where it does not raise, because a cancel is being handled, it sleeps to the end.
        """
        until = time.monotonic() + seconds
        if wait_for(self._cancelled, seconds):
            self.check()
            time.sleep(max(0.0, until - time.monotonic()))

    # For what runs the function

    def begin(self) -> None:
        """Record that this thread, which is about to call the function, is its own."""
        self._thread = threading.get_ident()
        _begun.add(self)

    # From any thread

    def recipe(self) -> tuple[Callable[..., Callback], tuple[Any, ...]]:
        """Return what makes its twin, where the function runs elsewhere: a class, its arguments.

        A `Call` that is pickled holds this in place of its callback.
        """
        return Callback, ()

    def cancel(self) -> None:
        """Tell the function to stop."""
        self._is_cancelled = True
        self._cancelled.set()  # before the hooks: one that is added from now on runs at once
        self._run_hooks()

    def on_cancel(self, hook: Callable[[], object]) -> None:
        """Have a hook called once on a cancel, or now if there was one. It must not block.

        It is called in the thread that cancels. What it raises is logged: the other hooks, and
        the cancel, go on.
        """
        self._hooks.append(hook)
        # After the append: whether the cancel came before or after it, one side runs the hook.
        if self._is_cancelled:
            self._run_hooks()

    def end(self) -> None:
        """Drop the hooks, which may hold much memory: the function has ended."""
        self._hooks.clear()
        if self._thread is not None:
            self._thread = 0  # its number may soon be another thread's

    def _orphan(self) -> None:
        """Raise from now on, whatever is asked: this process is a fork. Runs there, alone."""
        self.notify = None  # what it calls may want a lock that a thread held at the fork
        self._cancelled = threading.Event()  # as this one may, too
        self._cancelled.set()  # ends any `wait`
        self._growth = None  # and so may what it has begun
        self._due = sys.maxsize
        self._is_cancelled = True
        self._is_orphan = True

    def series(self) -> dict[str, Any]:
        """Return the numbers that were reported, thinned: see `Series.to_json`."""
        count, result, step, _, _ = self.latest
        return (self._series or Series()).to_json(Point.of(count, step, result))

    def _look(self, *reported: Any) -> None:
        """Look at a report that is due. It is the newest one already."""
        if self.hints:
            self.hints = False
            _hint(*reported)
        self._take(self.latest)

    def _take(self, latest: Report) -> None:
        count, result, step, _, _ = latest
        if self._series is None:
            self._series = Series()  # if two threads make one, a point is lost
        self._due = self._series.take(count, step, result) - 1

    def _refuse(self, arguments: tuple[Any, ...], unknown: Mapping[str, Any]) -> NoReturn:
        """Raise ``TypeError`` for a report of the wrong shape."""
        what = ", ".join(unknown) or f"{len(arguments)} arguments"
        raise TypeError(
            f"the callback has result, step, total and message, not {what}: report= turns "
            "whatever a function reports into these")

    def _begin_growth(self, piece: Any) -> Growth:
        """Return what a piece is to be added to: one growth, whichever thread comes first."""
        with _beginning:
            if self._growth is None:
                self._growth = grow(self.latest[1], piece)
            return self._growth

    def _shape(self) -> inspect.Signature:
        return signature_of(_plain)

    def _run_hooks(self) -> None:
        # Two threads may be here. The pop is atomic, so each hook runs once.
        while self._hooks:
            try:
                hook = self._hooks.pop()
            except IndexError:  # the other thread was faster
                return
            try:
                hook()
            except Exception:
                logger.exception("a hook of a cancel raised")


_ALONE = ("in another process nobody hears its reports, and no cancel reaches it. Call it in "
          "this process, with what the others return, or let longop run the whole function "
          "elsewhere: executor=...")

# The callbacks that functions have here. In a fork these are copies that nobody hears; so that
# ordinary reports need not ask where they are, the fork is told instead.
_begun: WeakSet[Callback] = WeakSet()


def _orphan_all() -> None:
    global _beginning
    _beginning = threading.Lock()  # another thread may have held it
    for callback in list(_begun):
        callback._orphan()
    _begun.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_orphan_all)


def _plain(result: Any = None, step: Any = None, total: Any = None, message: Any = None) -> None:
    """Take what the callback takes, for `inspect.signature`."""


def _hint(result: Any, step: Any, total: Any, message: Any) -> None:
    """Say how to read ``callback(done, total)`` if the first report of a job looks like it."""
    if type(result) is type(step) is int and total is message is None and 0 <= result < step:
        logger.warning(
            "the first report of a job was (%s, %s), which is its result and step; if these are "
            "done and total, write report=longop.done_total", result, step)
