"""`longop.values.kinds`: a schema with its converter, and what is said of a wrong value."""

import sys

import pytest

from longop.values.kinds import ANYTHING, Kind, attempt, cut, describes_file, shown, wrong


def test_anything_is_kept():
    """The kind of any value keeps it as it is, and is no file."""
    value = object()
    assert ANYTHING.convert(value) is value
    assert not ANYTHING.is_file
    assert Kind({"contentEncoding": "base64"}, bytes).is_file


def test_attempt():
    """Whatever a converter raises, the error says what the value must be."""
    assert attempt(int, "a whole number", "3") == 3
    for make in int, {}.__getitem__, sys.exit:
        with pytest.raises(ValueError, match="must be a whole number, not 'x'"):
            attempt(make, "a whole number", "x")


def test_a_long_value_is_cut():
    """A message shows 80 characters of a value."""
    assert (shown("a"), cut("a" * 80)) == ("'a'", "a" * 80)
    assert shown("a" * 100) == "'" + "a" * 76 + "..."
    assert len(str(wrong("a" * 100, "short"))) < 110


def test_schema_of_another_server():
    """Of a schema that is not ours, parts may be True or False, which describe no file."""
    assert describes_file({"items": False, "prefixItems": [True, {"contentEncoding": "base64"}]})
    assert not describes_file({"items": True, "anyOf": [False]})
