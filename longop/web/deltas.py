"""What a client lacks of a status: the keys that changed, and the end of a result that grew.

    a status ─ Trail.delta ─▶ the delta for a place, as JSON, and the place after it

A client is at a *place*: which version of the status it has, and how long a result. So clients
at different places cost no copy each, and those at one place share their delta. A result grows
if the function appends to it, or reports a text that begins with the one before.
"""

from __future__ import annotations

import operator
import threading
import weakref
from typing import Any, Callable, NamedTuple, Tuple, Union
from weakref import WeakValueDictionary

from ..status import State, Status
from ..values.growth import Growth, settled
from ..values.jsontext import dumps
from ..values.pieces import is_short, pieces
from .held import Later

_GROWING = (Growth, str, bytes)
_ATOMS = (type(None), bool, int, float, str, State)
_MOST_VERSIONS = 1_000  # at which a client may be; one that is further behind gets all


class Place(NamedTuple):
    """What a client has."""

    version: int = -1
    length: int = 0  # of the result: characters, bytes, or items of a list


_NOWHERE = Place()

#: A delta as JSON, or what will have made it, and where a client is that has read it.
Delta = Tuple[Union[bytes, Later], Place]


class Trail:
    """How the status of one job has changed, as far as clients were told. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The lock guards these.
        self._status: Status | None = None  # the newest one that was looked at
        self._text: str | None = None  # its result as JSON, of a kind that does not grow
        self._grows_since = 0  # the version since which the result has only grown
        self._changed_at: dict[str, int] = {}  # the version at which a key was seen to differ
        self._versions: dict[int, None] = {}  # that were looked at, oldest first
        self._deltas: dict[Place, Delta] = {}  # to the newest version, for several clients
        self._length = 0  # of its result, if that is a `Growth`, when they were made
        # Large ones are shared as long as they are being sent to somebody: those to the newest
        # version, and the newest status that was made whole.
        self._large: WeakValueDictionary[Place, _Large] = WeakValueDictionary()
        self._whole: Callable[[], _Large | None] = _nothing

    def delta(self, status: Status, place: Place, may_lag: bool = False) -> Delta:
        """Return what a client lacks of a status: all of it if its place is not known.

        :param status: its result may be a `Growth`, see `Job.growing_status`.
        :param may_lag: whether all of an earlier status will do, as it does if the client then
            gets what it lacks of this one. So slow clients share it, whenever each has come.
        """
        with self._lock:
            return self._delta(self._look(status), place, may_lag)

    def rest(self, place: Place) -> Delta:
        """Return what a client lacks of the newest status that was looked at."""
        with self._lock:
            assert self._status is not None
            return self._delta(self._status, place, may_lag=False)

    # With the lock held

    def _delta(self, newest: Status, place: Place, may_lag: bool) -> Delta:
        if place.version not in self._versions:
            place = _NOWHERE
            whole = self._whole()
            if may_lag and whole is not None and self._is_useful(whole.after, newest):
                return whole, whole.after
        return self._find(place) or self._make(newest, place)

    def _find(self, place: Place) -> Delta | None:
        """Return a delta from a place to the newest version, if there is one already."""
        large = self._large.get(place)
        return self._deltas.get(place) if large is None else (large, large.after)

    def _clear(self) -> None:
        self._deltas.clear()
        self._large.clear()

    def _is_useful(self, place: Place, newest: Status) -> bool:
        """Return whether a client at a place has at least half of the newest result."""
        return (place.version in self._versions and self._grows_since <= place.version
                and _length(newest.result) <= 2 * place.length)

    def _look(self, status: Status) -> Status:
        """Find out what has changed since the last look; return the newest status."""
        before = self._status
        if before is not None and before.version >= status.version:
            # Another thread was faster, or only time has passed.
            self._forget_if_grown(before.result)
            return before
        self._status = status
        self._forget_if_grown(status.result)
        self._clear()
        self._note_version(status.version)
        self._note_result(before, status)
        for name, value in vars(status).items():
            if name != "result" and not (before and _is_same(vars(before)[name], value)):
                self._changed_at[name] = status.version
        return status

    def _forget_if_grown(self, result: Any) -> None:
        if isinstance(result, Growth) and len(result) != self._length:
            self._length = len(result)
            self._clear()

    def _note_version(self, version: int) -> None:
        self._versions[version] = None
        if len(self._versions) > _MOST_VERSIONS:
            del self._versions[next(iter(self._versions))]

    def _note_result(self, before: Status | None, status: Status) -> None:
        text = None
        if type(status.result) not in _GROWING and is_short(status.result):
            text = dumps(status.result)
        has_grown = before is not None and _has_grown(before.result, status.result)
        if not has_grown and (text is None or text != self._text):
            self._grows_since = status.version
        self._text = text

    def _make(self, status: Status, place: Place) -> Delta:
        changed = {name: value for name, value in vars(status).items()
                   if self._changed_at.get(name, -1) > place.version}
        changed["version"] = status.version
        if self._grows_since > place.version or not _can_cut(status.result, place.length):
            sent = changed["result"] = settled(status.result)
            length = _length(sent)
        else:
            sent = _rest(status.result, place.length)
            length = place.length + _length(sent)
            if sent:
                changed["append"] = sent
        if isinstance(sent, bytes):
            changed["encoding"] = "base64"  # so that it is not taken for text
        after = Place(status.version, length)
        if is_short(changed):
            delta = self._deltas[place] = dumps(changed).encode(), after
            return delta
        large = self._large[place] = _Large(changed, after)
        if place == _NOWHERE:  # kept until the next change: further clients may come
            self._deltas[place] = large, after
            self._whole = weakref.ref(large)
        return large, after


class _Large(Later):
    """A large delta as JSON, and where a client is that has read it."""

    def __init__(self, changed: dict[str, Any], after: Place) -> None:
        super().__init__(lambda: "".join(pieces(changed)).encode())
        self.after = after


def _nothing() -> None:
    """Return None, as a reference does to what is gone."""


def _has_grown(old: Any, new: Any) -> bool:
    """Return whether a result is the old one, and perhaps more at its end."""
    if isinstance(old, Growth):
        if new is old:
            return True
        old = old.value()
    elif type(old) not in _GROWING:
        return False  # a list may have been changed in place
    new = settled(new)
    if type(new) is not type(old):
        return False
    if isinstance(new, list):
        return len(old) <= len(new) and all(map(operator.is_, old, new))
    begins: bool = new.startswith(old)
    return begins


def _length(result: Any) -> int:
    return len(result) if isinstance(result, (Growth, str, bytes, list)) else 0


def _rest(result: Any, position: int) -> Any:
    """Return what follows a position in a result that can grow, and nothing of any other."""
    if isinstance(result, Growth):
        return result.since(position)
    return result[position:] if isinstance(result, (str, bytes, list)) else ""


def _can_cut(result: Any, position: int) -> bool:
    """Return whether a client can have the part of a result that is before a position.

    Not of a text that has the halves of one UTF-16 character around it: JSON makes one of them
    only if they are together.
    """
    if position > _length(result):
        return False
    around = _rest(result, position - 1)[:2] if position else ""
    return not (isinstance(around, str) and len(around) == 2
                and "\ud800" <= around[0] <= "\udbff" and "\udc00" <= around[1] <= "\udfff")


def _is_same(old: Any, new: Any) -> bool:
    """Return whether a value is surely the same; a user's object never is."""
    kind = type(new)
    return kind is type(old) and kind in _ATOMS and bool(old == new)
