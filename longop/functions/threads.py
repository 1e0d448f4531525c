"""The threads beside a function, and which pools have them in other interpreters."""

from __future__ import annotations

import sys
import threading
from typing import Any, Callable


def thread_of(target: Callable[..., object], *args: Any,
              name: str | None = None) -> threading.Thread:
    """Return a new thread: a daemon, which does not hold up the end of the process.

    A subinterpreter, as of an ``InterpreterPoolExecutor``, has no daemons, and it ends once all
    its threads have. So a thread that is made here must end once its call has, at the latest.
    """
    try:
        return threading.Thread(target=target, args=args, name=name, daemon=True)
    except RuntimeError:
        return threading.Thread(target=target, args=args, name=name, daemon=False)


def has_interpreters(executor: Any) -> bool:
    """Return whether an executor is an ``InterpreterPoolExecutor``, which Python 3.14 has."""
    module = sys.modules.get("concurrent.futures.interpreter")
    return isinstance(executor, getattr(module, "InterpreterPoolExecutor", ()))
