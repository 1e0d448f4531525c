"""The callback of an operation that has ``report=``, and what that option may be."""

from __future__ import annotations

import contextlib
import inspect
import threading
from functools import partial
from typing import Any, Callable, ContextManager, Mapping, Union

from ..callback import NOTHING, Callback
from ..values.annotations import signature_of

#: Turns what a function passes to its callback into a mapping, or None.
Adapter = Callable[..., Union[Mapping[str, Any], None]]

#: ``report=``: an adapter, or a class whose objects are adapters.
Report = Callable[..., Union[Mapping[str, Any], Adapter, None]]

#: What that mapping may have.
REPORTED = ("result", "append", "step", "total", "message", "returns")


class AdaptedCallback(Callback):
    """A callback for a function that reports in a form of its own.

    :param report: takes what the function passes; returns a mapping with some of ``result,
        step, total, message``, or None if there is nothing to report. ``append`` in it, in
        place of ``result``, is what `Callback.append` takes; ``returns`` is what the callback
        then returns. A class is called once for each job, and its object takes the
        reports, one at a time; see `is_maker`.
    """

    __slots__ = ("_adapter", "_report", "_turn")

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.hints = False
        self._report = report
        self._adapter: Callable[..., Any] = report  # of a class: until `begin`
        self._turn: ContextManager[object] = contextlib.nullcontext()

    def recipe(self) -> tuple[Callable[..., Callback], tuple[Any, ...]]:
        """Return the class and the adapter."""
        return AdaptedCallback, (self._report,)

    def begin(self) -> None:
        """Record the function's own thread; make the adapter of this job, if it is a class."""
        super().begin()
        if is_maker(self._report):
            made: Any = self._report()
            self._adapter = made
            # Its object may count: so that no report overtakes another one on its way out.
            self._turn = threading.RLock()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Report what the adapter returns, then raise as `Callback` does."""
        with self._turn:
            said = self._adapt(args, kwargs)
            rest = said.get("step"), said.get("total"), said.get("message")
            if "append" in said:
                self.append(said["append"], *rest)
            else:
                super().__call__(said.get("result"), *rest)
        return said.get("returns", NOTHING)

    def _adapt(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
        try:
            said = self._adapter(*args, **kwargs)
        except Exception as error:
            _add_note(error, f"raised by report={self._report!r}")
            raise
        if not isinstance(said, Mapping):
            if said:
                raise TypeError(f"report={self._report!r} returned {type(said).__name__!r}, "
                                f"not a mapping with some of {', '.join(REPORTED)}, or None")
            return {}
        if "append" in said and "result" in said:
            raise TypeError(f"report={self._report!r} returned append and result: what is new, "
                            "or all of it; give append or result")
        unknown = [str(name) for name in said if name not in REPORTED]
        if unknown:
            raise TypeError(f"report={self._report!r} returned {', '.join(unknown)}; "
                            f"known are {', '.join(REPORTED)}")
        return said

    def _orphan(self) -> None:
        super()._orphan()
        self._turn = threading.RLock()  # a thread may have held the other one at the fork

    def _shape(self) -> inspect.Signature:
        try:
            return signature_of(self._adapter)
        except ValueError:  # one written in C may not tell
            raise AttributeError("__signature__") from None


def check_report(report: Any) -> None:
    """Raise ``TypeError`` if something cannot be the ``report=`` of an operation."""
    if not callable(report):
        raise TypeError(f"report={report!r} is neither a function nor a class")
    if is_maker(report):
        with contextlib.suppress(ValueError):  # one written in C may not tell what it needs
            try:
                signature_of(report).bind()
            except TypeError as error:
                raise TypeError(f"report={report!r} is called without arguments, once for each "
                                f"job, but its constructor has a {error}") from None


def is_maker(report: object) -> bool:
    """Return whether ``report=`` makes an adapter for each job: a class whose objects are called.

    Of other classes, such as ``dict``, an object is a report.
    """
    if isinstance(report, partial):
        report = report.func
    return isinstance(report, type) and has_call(report)


def has_call(kind: type) -> bool:
    """Return whether the objects of a class can be called; not whether the class can."""
    return any("__call__" in vars(base) for base in kind.__mro__)


def _add_note(error: BaseException, note: str) -> None:
    # Python 3.11 has `add_note`, which does just this. Older ones do not know the name.
    notes = getattr(error, "__notes__", [])
    vars(error)["__notes__"] = [*notes, note]
