"""A kind of values: their JSON Schema, and the converter of what was given for one of them."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple

from .given import UnfitJson

Converter = Callable[[Any], Any]

_LONGEST_SHOWN = 80  # characters of a wrong value that an error message shows


class Kind(NamedTuple):
    """A kind of values: their JSON Schema, and what converts a given value to one of them.

    The converter takes text, values of JSON and uploads (``bytes``). It raises ``ValueError``
    with a message that says what the value must be.
    """

    schema: Mapping[str, Any]
    convert: Converter

    @property
    def is_file(self) -> bool:
        """True if a value may be an uploaded file."""
        return describes_file(self.schema)


def describes_file(schema: Mapping[str, Any]) -> bool:
    """Return whether values of a JSON Schema, such as those of a `Kind`, may be files."""
    if "contentEncoding" in schema:
        return True
    parts = [*schema.get("anyOf", ()), *schema.get("prefixItems", ()), schema.get("items")]
    # In another server's schema, a part may be True or False.
    return any(describes_file(part) for part in parts if isinstance(part, dict))


def attempt(make: Converter, what: str, value: Any) -> Any:
    """Return what a function makes of a value; raise ``ValueError`` with ``what`` it must be."""
    try:
        return make(value)
    except UnfitJson:
        raise  # it says more
    # A class of the user's may raise anything for a wrong value, or call sys.exit().
    except (Exception, SystemExit):
        raise wrong(value, what) from None


def wrong(value: Any, what: str) -> ValueError:
    """Return the error that says what a value must be."""
    return ValueError(f"must be {what}, not {shown(value)}")


def shown(value: Any) -> str:
    """Return a value as an error message shows it."""
    if isinstance(value, (str, bytes)):  # before millions of characters are escaped
        value = value[:_LONGEST_SHOWN]
    return cut(repr(value))


def cut(text: str) -> str:
    """Return a text, without its end if it is too long for a message."""
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN - 3] + "..."


def _keep(value: Any) -> Any:
    return value


#: Any value, as it was given.
ANYTHING = Kind({}, _keep)


def is_upload(value: Any) -> bool:
    """Return whether a parameter is binary data, which is not shown with its job."""
    return isinstance(value, (bytes, bytearray, memoryview))
