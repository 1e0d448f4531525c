"""The callback a function is handed: a one-slot mailbox out, a ``threading.Event`` in.

A call is a report *and* the checkpoint at which a cancel takes hold. The slot holds the newest
report only, so a function that reports a million times a second costs its watchers nothing.
Knows nothing of jobs: it works the same wherever the function's code runs.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import Any, Callable, Mapping

from .errors import OperationCancelled


class Callback:
    """Report progress by calling it; stop when it raises.

    ``callback(result=None, step=None, total=None, message=None)`` says how far the function is;
    what is ``None`` stays as it was. Raises `OperationCancelled` once the job is to stop.
    """

    __slots__ = ("_cancelled", "_hooks", "_is_cancelled", "latest", "notify", "told")

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._is_cancelled = self._cancelled.is_set  # looked up once: a report is a hot path
        self._hooks: deque[Callable[[], object]] = deque()
        # How many reports there were, then result, step, total and message.
        self.latest: tuple[int, Any, Any, Any, Any] = (0, None, None, None, None)
        self.notify: Callable[[], None] | None = None  # there only while somebody watches
        self.told = False  # the function was shown that it is to stop

    def __reduce__(self) -> Any:  # in another process it begins anew
        return Callback, ()

    def __call__(self, result: Any = None, step: Any = None, total: Any = None,
                 message: Any = None) -> None:
        """Report, then raise `OperationCancelled` if the job is to stop."""
        count, old_result, old_step, old_total, old_message = self.latest
        # One assignment, so that a reader in another thread never sees half a report.
        self.latest = (count + 1,
                       old_result if result is None else result,
                       old_step if step is None else step,
                       old_total if total is None else total,
                       old_message if message is None else message)
        notify = self.notify  # read once: it may be taken away at any moment
        if notify is not None:
            notify()
        if self._is_cancelled():
            self.check()

    def receive(self, latest: tuple[int, Any, Any, Any, Any]) -> None:
        """Take over what this callback's twin, in another process, was called with."""
        self.latest = latest
        notify = self.notify
        if notify is not None:
            notify()

    @property
    def cancelled(self) -> bool:
        """True once the job is to stop, for functions that would rather ask than be raised in."""
        self.told = self.told or self._is_cancelled()
        return self.told

    def check(self) -> None:
        """Raise `OperationCancelled` if the job is to stop, without reporting anything."""
        if self.cancelled:
            raise OperationCancelled("the job was cancelled")

    def wait(self, seconds: float) -> None:
        """Sleep for so many seconds; a cancel ends the sleep and raises `OperationCancelled`."""
        self._cancelled.wait(seconds)
        self.check()

    def cancel(self) -> None:
        """Tell the function to stop. This is for whoever runs it."""
        self._cancelled.set()
        self._run_hooks()

    def on_cancel(self, hook: Callable[[], object]) -> None:
        """Have a hook, which must not block, called once on a cancel; at once if it was before."""
        self._hooks.append(hook)
        if self._is_cancelled():
            self._run_hooks()

    def end(self) -> None:
        """Let go of the hooks, which may hold much: the function has ended."""
        self._hooks.clear()

    def _run_hooks(self) -> None:
        while self._hooks:
            # Another thread may have taken it, and what it was to wake may be gone.
            with contextlib.suppress(IndexError, RuntimeError):
                self._hooks.pop()()


class AdaptedCallback(Callback):
    """A callback for a function that reports in a shape of its own.

    ``adapter`` takes whatever the function passes and returns a mapping with some of ``result,
    step, total, message``, or nothing where there is nothing to say.
    """

    __slots__ = ("_adapter",)

    def __init__(self, adapter: Callable[..., Mapping[str, Any] | None]) -> None:
        super().__init__()
        self._adapter = adapter

    def __reduce__(self) -> Any:
        return AdaptedCallback, (self._adapter,)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Report what the adapter makes of it, then raise as `Callback` does."""
        super().__call__(**(self._adapter(*args, **kwargs) or {}))
