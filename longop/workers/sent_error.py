"""An error on its way to another process: itself if it survives, else as much as possible.

Most errors can be pickled. Of one that cannot, its class is found again by its name, so that
``except`` works, and it has the same text; if the class cannot be imported where the error
arrives, another class of that name stands for it. Its cause or, without one, the error that
was being handled, its notes and the members of a group travel by themselves.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import pickle
import traceback
from functools import reduce
from typing import Any, Callable, NamedTuple

from ..values import jsontext
from ..errors import LongOperationError
from .parcel import Parcel, open_parcel, pack, pickle_surely, reason

_MAX_DEPTH = 20  # causes of causes, and groups in groups; what is behind these is cut off
_GROUP: Any = getattr(builtins, "BaseExceptionGroup", ())  # since Python 3.11


class SentError(NamedTuple):
    """An error as it is sent: all of it can be pickled by any pickler."""

    data: bytes  # the error, pickled; empty if it does not survive that
    why: str  # why not
    module: str
    name: str  # its class's ``__qualname__``
    text: str
    traceback: str  # of the error and its causes; empty for a cause or a member
    args: tuple[Any, ...] = ()  # packed; these are here if there is no `data`
    state: tuple[tuple[str, Any], ...] = ()  # its attributes, packed
    notes: tuple[str, ...] = ()
    cause: SentError | None = None
    context: SentError | None = None  # what was being handled; there if it would be shown
    members: tuple[SentError, ...] = ()

    @classmethod
    def describe(cls, error: BaseException) -> SentError:
        """Prepare an error that was just caught, with its traceback."""
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        return _describe(error, _MAX_DEPTH)._replace(traceback="".join(lines))

    def revive(self, lost: Callable[[str], object] = lambda why: None) -> BaseException:
        """Return the error. The last one behind it shows the traceback from the worker.

        :param lost: is told why a part of it is not what it was, for each that is not.
        """
        revived = self._revive(lost)
        last = revived
        for _ in range(_MAX_DEPTH + 1):  # a class whose pickles are one object makes a circle
            behind = last.__cause__ or last.__context__
            if behind is None:
                break
            last = behind
        last.__cause__ = RuntimeError(f"\n{self.traceback}")
        return revived

    def _revive(self, lost: Callable[[str], object]) -> BaseException:
        members = [member._revive(lost) for member in self.members]
        error = self._read(lost)
        if error is None:
            error = self._rebuild(members)
        if error is None:
            error = type(self.name.rpartition(".")[2], (LongOperationError,), {})(self.text)
        error.__cause__ = None if self.cause is None else self.cause._revive(lost)
        if self.context is not None:
            error.__context__ = self.context._revive(lost)
            error.__suppress_context__ = False  # to set a cause, even None, has suppressed it
        if self.notes and "__notes__" not in vars(error):
            vars(error)["__notes__"] = [*self.notes]
        return error

    def _read(self, lost: Callable[[str], object]) -> BaseException | None:
        """Return the error that was pickled, or None."""
        why = self.why
        if self.data:
            try:
                error = pickle.loads(self.data)
            except Exception as problem:  # its class is only there where it comes from
                why = reason(problem)
            else:
                return error if isinstance(error, BaseException) else None
        if why:
            lost(why)
        return None

    def _rebuild(self, members: list[BaseException]) -> BaseException | None:
        """Return an error of the same class, made without its ``__init__``, or None."""
        try:
            kind = reduce(getattr, self.name.split("."), importlib.import_module(self.module))
        except Exception:
            return None
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            return None
        args = [_opened(argument) for argument in self.args]
        for attempt, given in (kind, args), (_with_text(kind, self.text), [self.text]):
            with contextlib.suppress(Exception):
                error = _new(attempt, [given[0], members] if members else given)
                vars(error).update((name, _opened(value)) for name, value in self.state)
                if str(error) == self.text:
                    return error
        return None


def _with_text(kind: type[BaseException], text: str) -> type[BaseException]:
    """Return a subclass of the same name whose errors have a text though they lack the rest."""
    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__,
             "__str__": lambda error: text}
    return type(kind.__name__, (kind,), names)


def _new(kind: type[BaseException], args: list[Any]) -> BaseException:
    """Return an error without a call of the ``__init__`` that its class has."""
    # Made by the first of its bases that Python itself brings.
    base: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    error: BaseException = base.__new__(kind, *args)
    base.__init__(error, *args)
    return error


def _describe(error: BaseException, depth: int) -> SentError:
    kind = type(error)
    data, why = _pickle(error)
    sent = SentError(data, why, kind.__module__, kind.__qualname__, jsontext.to_text(error), "",
                     notes=_notes_of(error))
    if depth == 0:
        return sent
    # One of the two, as a traceback shows them: both would make a chain a tree.
    if error.__cause__ is not None:
        sent = sent._replace(cause=_describe(error.__cause__, depth - 1))
    elif error.__context__ is not None and not error.__suppress_context__:
        sent = sent._replace(context=_describe(error.__context__, depth - 1))
    members = tuple(error.exceptions) if isinstance(error, _GROUP) else ()
    if members:
        # Not pickled as one, because the causes of the members would be lost.
        described = tuple(_describe(member, depth - 1) for member in members)
        sent = sent._replace(data=b"", members=described)
    if not sent.data:
        args = error.args[:1] if members else error.args
        state = tuple((name, pack(value)) for name, value in vars(error).items())
        sent = sent._replace(args=tuple(map(pack, args)), state=state)
    return sent


def _pickle(error: BaseException) -> tuple[bytes, str]:
    """Return an error's pickle, or nothing and the reason."""
    try:
        return pickle_surely(error), ""
    except Exception as problem:
        return b"", reason(problem)


def _notes_of(error: BaseException) -> tuple[str, ...]:
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, (list, tuple)):
        return ()
    return tuple(note for note in notes if type(note) is str)


def _opened(packed: Any) -> Any:
    return open_parcel(packed)[0] if isinstance(packed, Parcel) else packed
