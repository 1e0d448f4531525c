"""What is in a request: the parameters of its query and of its body.

A body is a form, JSON, or multipart/form-data (RFC 7578). What the parameters mean is for the
function's `signature`; this module knows nothing of functions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, List, Tuple
from urllib.parse import parse_qsl

from ..errors import BadParameters, RequestError
from ..values.jsontext import loads
from .request import Request

if TYPE_CHECKING:
    from email.message import Message

_Pairs = List[Tuple[str, Any]]  # names and values, in the order in which they came
_NUMBER = re.compile(r"-?[0-9]{1,16}(\.[0-9]*)?")


class Upload(bytes):
    """The bytes of an uploaded file.

    ``filename`` and ``content_type`` are as the client stated them, or empty.
    """

    filename: str = ""
    content_type: str = ""


def parameters(request: Request) -> dict[str, list[Any]]:
    """Return the parameters of the query and then of the body, a list of values for each name.

    Text is ``str``, an uploaded file an `Upload`; a value of JSON keeps its type.

    Raises `RequestError`: 415 for a body of another type, 400 for one that is malformed.
    """
    pairs: _Pairs = _parse_form(request.query)
    if request.body:
        pairs += _parse_body(request)
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def numbers(query: str, **defaults: float) -> list[float]:
    """Return the numbers that a query has under the names of ``defaults``, in their order.

    Raises `BadParameters` for a value that is not a number.
    """
    given = dict(parse_qsl(query))
    found: list[float] = []
    wrong: dict[str, str] = {}
    for name, default in defaults.items():
        text = given.get(name)
        if text is None:
            found.append(float(default))
        elif _NUMBER.fullmatch(text):
            found.append(float(text))
        else:
            wrong[name] = "must be a number"
    if wrong:
        raise BadParameters(wrong)
    return found


def _parse_body(request: Request) -> _Pairs:
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return _parse_form_body(request.body)
        if kind == "multipart/form-data":
            return _parse_multipart(request.body, content_type)
        if kind == "application/json" or kind.endswith("+json"):
            return _parse_json(request.body, request.limits.max_depth)
    except ValueError as error:  # bytes that are not UTF-8 are one, too
        raise RequestError(400, f"the body is not valid {kind}: {error}") from error
    raise RequestError(415, f"parameters come as JSON, a form or a query, not {kind!r}")


def _parse_form(text: str) -> _Pairs:
    """Return the pairs of a query, or of a form that is encoded as one."""
    return [*parse_qsl(text, keep_blank_values=True)]


def _parse_form_body(body: bytes) -> _Pairs:
    if body.startswith(b"{"):  # curl sends JSON as a form unless it is told otherwise
        raise RequestError(415, "this looks like JSON: send Content-Type: application/json")
    return _parse_form(body.decode())


def _parse_json(body: bytes, max_depth: int) -> _Pairs:
    value = loads(body.decode())
    _check_depth(value, max_depth)
    if not isinstance(value, dict):
        raise RequestError(400, "the JSON must be an object, of parameters by name")
    return [*value.items()]


def _check_depth(value: Any, depth: int) -> None:
    """Raise ``ValueError`` if a value of JSON has more than ``depth`` levels within it."""
    if depth < 0:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return
    for item in value:
        _check_depth(item, depth - 1)


# multipart/form-data


def _parse_multipart(body: bytes, content_type: str) -> _Pairs:
    boundary = _parse_headers(f"Content-Type: {content_type}").get_boundary()
    if not boundary:
        raise ValueError("its Content-Type names no boundary")
    pairs: _Pairs = []
    for part in _split_parts(body, boundary.encode()):
        pairs += _parse_part(part)
    return pairs


def _split_parts(body: bytes, boundary: bytes) -> list[bytes]:
    """Cut a body at its boundaries (RFC 2046 section 5.1.1), each of which begins a line."""
    _preamble, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not parts:
        raise ValueError("its closing boundary is missing")
    epilogue = parts.pop()
    if not epilogue.startswith(b"--"):
        raise ValueError("its closing boundary is missing")
    return parts


def _parse_part(part: bytes) -> _Pairs:
    """Return the name and the value of a part; nothing for a file that was not chosen."""
    head, separator, content = part.partition(b"\r\n\r\n")
    headers = _parse_headers(head.decode().lstrip())
    name = headers.get_param("name", None, "content-disposition")
    filename = headers.get_param("filename", None, "content-disposition")
    if not separator or not isinstance(name, str):
        raise ValueError("a part of it has no name")
    if filename is None:
        return [(name, content.decode())]
    if not filename and not content:  # what a browser sends for an empty file field
        return []
    upload = Upload(content)
    upload.filename = str(filename)
    upload.content_type = headers.get("content-type", "")
    return [(name, upload)]


def _parse_headers(text: str) -> Message:
    from email.parser import HeaderParser  # its import takes longer than all of this module

    return HeaderParser().parsestr(text)
