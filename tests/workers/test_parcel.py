"""A value on its way to another process."""

import pickle
import sys
import threading
import types

import pytest

from longop.workers.parcel import Parcel, open_parcel, open_parts, pack

from ..pythons import NO_PICKLE_OF_A_LOCK


class Unreadable:
    """Can be pickled, but not read again."""

    def __reduce__(self):
        return int, ("this is not a number",)


class Endless:
    """Has no JSON: while it is looked at, it changes."""

    def __reduce__(self):
        raise RuntimeError("it changed")

    def __str__(self):
        raise RuntimeError("it changed")


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text", b"bytes"], ids=repr)
def test_plain_value_is_not_packed(value):
    """A value that cannot fail travels as it is."""
    assert pack(value) is value


@pytest.mark.parametrize("value", [
    (1, [2, {3}]), {"a": (None, b"")}, 1j, {1, 2}, ValueError, range(3)], ids=repr)
def test_value_that_survives(value):
    """A value that can be pickled and read arrives as it was."""
    opened, why = open_parcel(pickle.loads(pickle.dumps(pack(value))))
    assert (opened, type(opened), why) == (value, type(value), "")


@pytest.mark.parametrize(("value", "shown", "why"), [
    ([threading.Lock(), 1], "<unlocked", NO_PICKLE_OF_A_LOCK),
    ([Unreadable(), 1], "<tests.", "ValueError: invalid literal"),
    ([Endless(), 1], "<Endless>", "RuntimeError: it changed")])
def test_value_that_does_not_survive(value, shown, why):
    """Of a value that cannot be pickled, or not be read, the JSON arrives, and the reason."""
    (first, second), told = open_parcel(pickle.loads(pickle.dumps(pack(value))))
    assert first.startswith(shown)
    assert second == 1
    assert told.startswith(why)


def test_value_that_only_this_side_can_read(monkeypatch):
    """Of a value that cannot be read where it arrives, the JSON is there as well."""
    module = types.ModuleType("only_there")
    exec("class Thing:\n    def __str__(self): return 'a thing'", vars(module))
    monkeypatch.setitem(sys.modules, "only_there", module)
    parcel = pack([module.Thing(), 1])
    monkeypatch.delitem(sys.modules, "only_there")
    assert open_parcel(parcel) == (
        ["a thing", 1], "ModuleNotFoundError: No module named 'only_there'")


def test_large_value_is_not_shown():
    """A large value that survives does not carry its JSON too."""
    assert pack([1j, b"x" * 200_000]).shown == "<list>"


def test_parts_by_their_names():
    """Parts are opened one by one; the lost ones are named."""
    values = [1, pack((2,)), pack([threading.Lock()])]
    assert [type(value) for value in values] == [int, Parcel, Parcel]
    opened, lost = open_parts(["a", "b", "c"], values)
    assert opened[:2] == [1, (2,)]
    assert lost == (("c", NO_PICKLE_OF_A_LOCK),)
