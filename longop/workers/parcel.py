"""A value on its way to another process: itself if it survives, else what JSON makes of it.

    pack ──▶ the value, if it is plain ─────────┐
             a Parcel: its pickle, or its JSON ─┴─▶ any pickler, any pipe ──▶ open_parcel

What is packed can always be pickled and always be read again, so one value never spoils the
others that travel beside it. Knows nothing of messages.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
from typing import Any, NamedTuple, Sequence, Tuple

from ..values import jsontext

#: The parts that did not survive, by name, each with the reason.
Lost = Tuple[Tuple[str, str], ...]

#: Values that can be pickled and read as they are, without a look at what is inside.
ATOMS = frozenset({type(None), bool, int, float, str, bytes})

# Bytes of a pickle up to which its JSON goes with it, in case the other side cannot read it.
_SMALL = 100_000


class Parcel(NamedTuple):
    """A value that is packed."""

    data: bytes  # its pickle; empty if it does not survive being pickled and read again
    shown: Any  # made of atoms, lists and dicts: what JSON makes of it, if that may be needed
    why: str  # why there is no pickle


class _PlainPickler(pickle.Pickler):
    """Refuses all but the values that are built into the format, and so can surely be read."""

    def reducer_override(self, value: object) -> Any:
        raise pickle.PicklingError  # called for any other value


def pickle_plain(value: Any) -> bytes:
    """Return a value's pickle, or nothing if it is not certain that this can be read."""
    buffer = io.BytesIO()
    with contextlib.suppress(Exception):
        _PlainPickler(buffer).dump(value)
        return buffer.getvalue()
    return b""


def pack(value: Any) -> Any:
    """Return a value, or a `Parcel` that holds it; raise nothing."""
    if type(value) in ATOMS:
        return value
    try:
        data = pickle_plain(value)
        if data:
            return Parcel(data, None, "")
        data = pickle_surely(value)
    except Exception as error:
        return Parcel(b"", _show(value), reason(error))
    return Parcel(data, _show(value) if len(data) <= _SMALL else _name(value), "")


def open_parcel(parcel: Parcel) -> tuple[Any, str]:
    """Return the value of a parcel, and why it is not itself, or ``""``; raise nothing."""
    if not parcel.data:
        return parcel.shown, parcel.why
    try:
        return pickle.loads(parcel.data), ""
    except Exception as error:  # its class is only there where it comes from, perhaps
        return parcel.shown, reason(error)


def open_parts(names: Sequence[str], values: Sequence[Any]) -> tuple[list[Any], Lost]:
    """Return values that were packed, opened, and which are not what they were, and why."""
    opened = []
    lost = []
    for name, value in zip(names, values):
        if isinstance(value, Parcel):
            value, why = open_parcel(value)
            if why:
                lost.append((name, why))
        opened.append(value)
    return opened, tuple(lost)


def pickle_surely(value: Any) -> bytes:
    """Return a pickle that could be read again here; raise what prevents it."""
    try:
        data = pickle.dumps(value)
    except Exception:
        # What a notebook defines has a name that only its own process knows. An executor that
        # has sent the code of it has brought its pickler along.
        cloudpickle = sys.modules.get("cloudpickle")
        if cloudpickle is None:
            raise
        data = cloudpickle.dumps(value)
    pickle.loads(data)
    return data


def reason(error: Exception) -> str:
    """Return what an error says, for a log."""
    return f"{type(error).__name__}: {jsontext.to_text(error)}"


def _show(value: Any) -> Any:
    with contextlib.suppress(Exception):  # another thread may be changing it
        return jsontext.loads(jsontext.dumps(value))
    return _name(value)


def _name(value: Any) -> str:
    return f"<{type(value).__name__}>"
