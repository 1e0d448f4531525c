"""What an operation does and takes, as help on a command line shows it.

    epochs=WHOLE-NUMBER   how many epochs to train (default: 200)

Parameters come as JSON Schema, so that it is the same for a function here and for one of a
server. Knows nothing of how they are parsed.
"""

from __future__ import annotations

import re
import shutil
from typing import Any, Iterator, Mapping

from ..values.jsontext import dumps, loads
from ..values.kinds import describes_file
from .columns import clean, width, wrap

FEWEST_COLUMNS = 20  # of the help; a narrower terminal wraps it once more
MOST_COLUMNS = 98  # in longer lines the eye gets lost
_INDENT = 2
_USAGE = 26  # columns of ``name=TYPE``, beside which the help begins in the same line
_FEWEST_BESIDE = 30  # columns of the help; if there is less, it is below
_LONGEST_DEFAULT = 40  # characters of a default that are shown
_MOST_CHOICES = 12

_TYPES = {"integer": "WHOLE-NUMBER", "number": "NUMBER", "boolean": "yes|no",
          "string": "TEXT", "array": "JSON-LIST", "object": "JSON", "null": ""}
_FORMATS = {"date": "YYYY-MM-DD", "time": "HH:MM", "date-time": "YYYY-MM-DDTHH:MM",
            "duration": "HH:MM:SS", "uuid": "UUID"}


def columns_of_help() -> int:
    """Return the columns for help on this terminal, as argparse has them."""
    columns = shutil.get_terminal_size().columns - 2
    return max(FEWEST_COLUMNS, min(columns, MOST_COLUMNS))


def entry(name: str, description: str, schema: Mapping[str, Any], columns: int) -> list[str]:
    """Return the lines of one operation among others: what it does, and its parameters.

    :param schema: the JSON Schema of all parameters, perhaps another server's.
    :param columns: that a line may take.
    """
    words = clean(" ".join(description.split()))
    title = f"{clean(name)} - {words}" if words else clean(name)
    return [*_indented(title, 0, columns), *_parameters(schema, columns)]


def page(usage: str, documentation: str, schema: Mapping[str, Any], columns: int) -> list[str]:
    """Return the lines of the help of one operation: how it is run, and all that is known.

    :param documentation: the docstring. What it says of parameters is in the schema too.
    """
    parameters = list(_parameters(schema, columns)) or ["  none"]
    return [*_indented(clean(f"usage: {usage}"), 0, columns), "",
            *_paragraphs(documentation, columns), "parameters:", *parameters]


def _paragraphs(documentation: str, columns: int) -> Iterator[str]:
    """Yield the lines of a docstring, and an empty one after each paragraph."""
    without = re.sub(r"(?m)^:(?:param|type)\b.*(?:\n[ \t]+.*)*\n?", "", documentation)
    for text in re.split(r"\n\s*\n", without.strip("\n")):
        if text.strip() and not re.match(r"(Args|Arguments|Parameters):?[ \t]*(\n|$)", text):
            yield from _paragraph(text.splitlines(), columns)
            yield ""


def _paragraph(lines: list[str], columns: int) -> Iterator[str]:
    is_laid_out = any(re.match(r"[ \t]|[-*:>]", line) for line in lines)  # a list, or code
    for line in lines if is_laid_out else [" ".join(lines)]:
        indent = len(line) - len(line.lstrip())
        yield from _indented(clean(line.strip()), indent, columns)


def _parameters(schema: Mapping[str, Any], columns: int) -> Iterator[str]:
    """Yield the lines of all parameters."""
    known = loads(dumps(schema))  # a default may be any object
    required = known.get("required", ())
    for name, one in known.get("properties", {}).items():
        usage = clean(f"{name}={_type_of(one)}")
        yield from _parameter(usage, clean(_help_of(one, name in required)), columns)
    if known.get("additionalProperties"):
        yield from _parameter("NAME=VALUE", "any other parameter", columns)


def _parameter(usage: str, text: str, columns: int) -> Iterator[str]:
    """Yield the lines of a parameter, its help in a column of its own if there is room."""
    begin = _INDENT + _USAGE + 2
    if columns - begin < _FEWEST_BESIDE:
        yield from _indented(usage, _INDENT, columns)
        yield from _indented(text, 3 * _INDENT, columns)
        return
    lines = list(_indented(text, begin, columns))
    if width(usage) > _USAGE or not lines:
        yield from _indented(usage, _INDENT, columns)
    else:
        first = f"{' ' * _INDENT}{usage}"
        yield first + lines.pop(0)[width(first):]
    yield from lines


def _indented(text: str, indent: int, columns: int) -> Iterator[str]:
    """Yield a text as lines that begin with some blanks."""
    for line in wrap(text, max(columns - indent, 1)):
        yield " " * indent + line


def _help_of(schema: Any, is_required: bool) -> str:
    """Return what a parameter is, its bounds, and its default."""
    if not isinstance(schema, dict):
        schema = {}
    notes = list(_bounds(schema))
    if is_required:
        notes.append("required")
    elif "default" in schema:
        notes.append(f"default: {_default(schema, schema['default'])}")
    words = " ".join(str(schema.get("description", "")).split())
    return f"{words} ({', '.join(notes)})".strip() if notes else words


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    if "minimum" in schema:
        yield f"at least {schema['minimum']}"
    if "maximum" in schema:
        yield f"at most {schema['maximum']}"
    if isinstance(schema.get("prefixItems"), list):
        yield " and ".join(map(_type_of, schema["prefixItems"]))
    elif schema.get("type") == "array":
        yield "may be repeated"


def _default(schema: Mapping[str, Any], value: Any) -> str:
    """Return a default as it would be written."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if describes_file(schema) and value == "":
        return "empty"
    choices = _choices_of(schema)
    if choices and value in schema["enum"]:
        place: int = schema["enum"].index(value)
        return choices[place]
    text: str = value if isinstance(value, str) and value.strip() else dumps(value)
    return text if len(text) <= _LONGEST_DEFAULT else f"{text[:_LONGEST_DEFAULT - 3]}..."


def _type_of(schema: Any) -> str:
    """Return what is written for a parameter."""
    if not isinstance(schema, dict):
        return "VALUE"
    choices = _choices_of(schema)
    if choices:
        more = ["..."] if len(choices) > _MOST_CHOICES else []
        return "|".join([*choices[:_MOST_CHOICES], *more])
    if describes_file(schema):
        return "@FILE"
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if isinstance(schema.get("anyOf"), list):
        return _any_of(schema["anyOf"])
    if schema.get("type") == "array" and "items" in schema:
        return _type_of(schema["items"])
    return _TYPES.get(str(schema.get("type")), "VALUE")


def _any_of(schemas: list[Any]) -> str:
    """Return each type once; that a parameter may be null its default tells."""
    types = [_type_of(one) for one in schemas]
    return "|".join(dict.fromkeys(one for one in types if one)) or "VALUE"


def _choices_of(schema: Mapping[str, Any]) -> list[str]:
    """Return the values that a parameter may have, by their names if they have some."""
    values = schema.get("enum")
    if not isinstance(values, list):
        return []
    names = schema.get("x-enum-varnames")
    if isinstance(names, list) and len(names) == len(values):
        values = names
    return [value if isinstance(value, str) else dumps(value) for value in values]
