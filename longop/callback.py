"""The callback that a function is handed: reports go out, a cancel comes in.

    function ── call ──▶ latest: the newest report, and no older one
             ◀─ raise ── an Event that `cancel` sets

A call is a report *and* the checkpoint at which a cancel takes hold. Only the newest report is
kept, so a function that reports a million times a second costs its watchers nothing. Knows
nothing of jobs: it works the same wherever the function's code runs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import Any, Callable, Mapping, Tuple

from .errors import OperationCancelled, ReportCancelled, is_unwinding

# How many reports there were, then result, step, total and message.
Report = Tuple[int, Any, Any, Any, Any]


class Callback:
    """Report progress by calling it; stop when it raises.

    ``callback(result=None, step=None, total=None, message=None)`` tells how far the function
    is. What is ``None`` stays as it was.

    Any thread may call it. Once the job is to stop it raises `OperationCancelled` in the
    function's own thread, and `ReportCancelled` in any other. While one of these is being
    handled, in ``finally`` for example, it does not raise again.
    """

    # A report is a hot path, so no lock guards these. Each is replaced by one assignment and
    # never changed in place: a reader in any thread sees the old value or the new one.
    __slots__ = ("_cancelled", "_hooks", "_is_cancelled", "_thread", "latest", "notify", "told")

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

    def __reduce__(self) -> Any:
        return self.recipe()  # pickled, it is a new callback: its twin in another process

    def __call__(self, result: Any = None, step: Any = None, total: Any = None,
                 message: Any = None) -> None:
        """Report, then raise `OperationCancelled` if the job is to stop."""
        count, old_result, old_step, old_total, old_message = self.latest
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
        """Note that the function is about to be called in this thread, which is its own."""
        self._thread = threading.get_ident()

    # The others may be called from any thread

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

        It is called in the thread that cancels. Its ``RuntimeError`` is ignored: an event loop
        that it was to wake is closed.
        """
        self._hooks.append(hook)
        # After the append: whether the cancel came before or after it, one side runs the hook.
        if self._is_cancelled():
            self._run_hooks()

    def end(self) -> None:
        """Drop the hooks, which may hold much memory: the function has ended."""
        self._hooks.clear()
        self._thread = 0  # its number may soon be another thread's

    def _run_hooks(self) -> None:
        # Two threads may be here. The pop is atomic, so each hook runs once.
        while self._hooks:
            try:
                hook = self._hooks.pop()
            except IndexError:  # the other thread was faster
                return
            with contextlib.suppress(RuntimeError):
                hook()


class AdaptedCallback(Callback):
    """A callback for a function that reports in a form of its own.

    :param adapter: takes what the function passes; returns a mapping with some of ``result,
        step, total, message``, or None if there is nothing to report.
    """

    __slots__ = ("_adapter",)

    def __init__(self, adapter: Callable[..., Mapping[str, Any] | None]) -> None:
        super().__init__()
        self._adapter = adapter

    def recipe(self) -> tuple[Callable[..., Callback], tuple[Any, ...]]:
        """Return the class and the adapter."""
        return AdaptedCallback, (self._adapter,)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Report what the adapter returns, then raise as `Callback` does."""
        report = self._adapter(*args, **kwargs) or {}
        super().__call__(**report)


def read_reporthook(block: int, size: int, total: int) -> Mapping[str, Any]:
    """Read a report of ``urllib.request.urlretrieve``; sizes are in bytes."""
    done = block * size
    if total <= 0:  # unknown
        return {"step": done}
    return {"step": min(done, total), "total": total}
