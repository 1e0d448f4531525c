"""The callback that a function is handed: reports go out, a cancel comes in.

    function ── call ──▶ latest: the newest report, and no older one
             ◀─ raise ── an Event that `cancel` sets

A call is a report *and* the checkpoint at which a cancel takes hold. Only the newest report is
kept, so a function that reports a million times a second costs its watchers nothing. Knows
nothing of jobs: it works the same wherever the function's code runs.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, NoReturn, Tuple

from .errors import OperationCancelled, ReportCancelled, is_unwinding

logger = logging.getLogger("longop")

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


class Callback:
    """Report progress by calling it; stop when it raises.

    ``callback(result=None, step=None, total=None, message=None)`` tells how far the function
    is. What is ``None`` stays as it was. What it returns is false, and can be awaited.

    Any thread may call it. Once the job is to stop it raises `OperationCancelled` in the
    function's own thread, and `ReportCancelled` in any other. While one of these is being
    handled, in ``finally`` for example, it does not raise again.

    A copy of it is the callback itself. It cannot be pickled: in another process there is
    nobody to report to.
    """

    # A report is a hot path, so no lock guards these. Each is replaced by one assignment and
    # never changed in place: a reader in any thread sees the old value or the new one. The
    # first two let libraries treat it as any function: set attributes, refer to it weakly.
    __slots__ = ("__dict__", "__weakref__", "_cancelled", "_hooks", "_is_cancelled", "_thread",
                 "hints", "latest", "notify", "told")

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._is_cancelled = self._cancelled.is_set  # looked up once
        self._hooks: deque[Callable[[], object]] = deque()
        # The ident of the function's own thread, or 0 after its end. None if that is unknown:
        # then every thread is taken for it.
        self._thread: int | None = None
        self.latest: Report = (0, None, None, None, None)
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
        if not count or more or unknown:
            self._look_at((result, step, total, message, *more), unknown)
        # One assignment: a reader in another thread never sees half a report.
        self.latest = (count + 1,
                       old_result if result is None else result,
                       old_step if step is None else step,
                       old_total if total is None else total,
                       old_message if message is None else message)
        notify = self.notify  # read once: another thread may clear it at any moment
        if notify is not None:
            notify()
        if self._is_cancelled():
            self.check()
        return NOTHING

    def __copy__(self) -> Callback:
        return self

    def __deepcopy__(self, memo: object) -> Callback:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(
            "the callback of a job cannot be pickled: in another process nobody hears its "
            "reports, and no cancel reaches it. Call it in this process, with what the others "
            "return, or let longop run the whole function elsewhere: executor=...")

    if not TYPE_CHECKING:  # to which any name would be there

        def __getattr__(self, name: str) -> Any:
            # What functions have. The class cannot define it: these are names of its own too.
            if name in ("__name__", "__qualname__"):
                return "callback"
            if name == "__signature__":
                return self._shape()
            raise AttributeError(f"the callback has no attribute {name!r}")

    def receive(self, latest: Report) -> None:
        """Take over the newest report of the twin. Called in the thread that receives it."""
        self.latest = latest
        notify = self.notify
        if notify is not None:
            notify()

    @property
    def cancelled(self) -> bool:
        """True once the job is to stop; for functions that prefer to ask."""
        if self._is_cancelled():
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
        if self._cancelled.wait(seconds):
            self.check()
            time.sleep(max(0.0, until - time.monotonic()))

    # For what runs the function

    def begin(self) -> None:
        """Record that this thread, which is about to call the function, is its own."""
        self._thread = threading.get_ident()

    # From any thread

    def recipe(self) -> tuple[Callable[..., Callback], tuple[Any, ...]]:
        """Return what makes its twin, where the function runs elsewhere: a class, its arguments.

        A `Call` that is pickled holds this in place of its callback.
        """
        return Callback, ()

    def cancel(self) -> None:
        """Tell the function to stop."""
        self._cancelled.set()  # before the hooks: one that is added from now on runs at once
        self._run_hooks()

    def on_cancel(self, hook: Callable[[], object]) -> None:
        """Have a hook called once on a cancel, or now if there was one. It must not block.

        It is called in the thread that cancels. What it raises is logged: the other hooks, and
        the cancel, go on.
        """
        self._hooks.append(hook)
        # After the append: whether the cancel came before or after it, one side runs the hook.
        if self._is_cancelled():
            self._run_hooks()

    def end(self) -> None:
        """Drop the hooks, which may hold much memory: the function has ended."""
        self._hooks.clear()
        if self._thread is not None:
            self._thread = 0  # its number may soon be another thread's

    def _look_at(self, arguments: tuple[Any, ...], unknown: Mapping[str, Any]) -> None:
        """Look at the first report of a job; raise ``TypeError`` for one of the wrong shape."""
        if unknown or len(arguments) > 4:
            what = ", ".join(unknown) or f"{len(arguments)} arguments"
            raise TypeError(
                f"the callback has result, step, total and message, not {what}: report= turns "
                "whatever a function reports into these")
        if self.hints:
            self.hints = False
            _hint(*arguments)

    def _shape(self) -> inspect.Signature:
        return inspect.signature(_plain)

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


def _plain(result: Any = None, step: Any = None, total: Any = None, message: Any = None) -> None:
    """Take what the callback takes, for `inspect.signature`."""


def _hint(result: Any, step: Any, total: Any, message: Any) -> None:
    """Say how to read ``callback(done, total)`` if the first report of a job looks like it."""
    if type(result) is type(step) is int and total is message is None and 0 <= result < step:
        logger.warning(
            "the first report of a job was (%s, %s), which is its result and step; if these are "
            "done and total, write report=longop.done_total", result, step)
