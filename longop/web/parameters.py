"""What is in a request: the parameters of its query and of its body.

A body is a form, JSON, or multipart/form-data. What the parameters mean is for the function's
`signature`; this module knows nothing of functions.
"""

from __future__ import annotations

import re
from typing import Any, List, Tuple
from urllib.parse import unquote_to_bytes

from ..errors import BadParameters, RequestError
from ..values import given
from . import multipart
from .request import Request

_Pairs = List[Tuple[str, Any]]  # names and values, in the order in which they came
_NUMBER = re.compile(r"-?[0-9]{1,16}(\.[0-9]*)?")
_PIECE = 65_536  # bytes of a form that are decoded at a time: that takes 20 times their memory


def parameters(request: Request) -> dict[str, list[Any]]:
    """Return the parameters of the query and then of the body, a list of values for each name.

    Text is ``str``, an uploaded file a `multipart.Upload`; a value of JSON keeps its type.
    A body of JSON is taken from the request. ``token`` in the query is for the `gate`: it is
    no parameter, so that it is neither stored nor shown with a job.

    Raises `RequestError`: 415 for a body of another type, 400 for one that is malformed, or if
    there are too many parameters.
    """
    pairs = [pair for pair in _parse_query(request) if pair[0] != "token"]
    if request.body:
        pairs += _parse_body(request)
    if len(pairs) > request.limits.max_parameters:
        raise _too_many(request)
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def numbers(request: Request, **defaults: float) -> list[float]:
    """Return the numbers that a query has under the names of ``defaults``, in their order.

    Raises `BadParameters` for a value that is not a number.
    """
    texts = {name: text for name, text in _parse_query(request) if text}
    found: list[float] = []
    wrong: dict[str, str] = {}
    for name, default in defaults.items():
        text = texts.get(name)
        if text is None:
            found.append(float(default))
        elif _NUMBER.fullmatch(text):
            found.append(float(text))
        else:
            wrong[name] = "must be a number"
    if wrong:
        raise BadParameters(wrong)
    return found


def _parse_query(request: Request) -> _Pairs:
    return _parse_form(request.query.encode(), request)


def _parse_body(request: Request) -> _Pairs:
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return _parse_form_body(request)
        if kind == "multipart/form-data":
            return multipart.parse(request.body, content_type, request.limits)
        if kind == "application/json" or kind.endswith("+json"):
            return _parse_json(request)
    except given.UnfitJson as error:
        raise RequestError(400, f"the JSON of the body {error}") from error
    except ValueError as error:  # bytes that are not UTF-8 are one, too
        raise RequestError(400, f"the body is not valid {kind}: {error}") from error
    raise RequestError(415, f"parameters come as JSON, a form or a query, not {kind!r}")


def _parse_json(request: Request) -> _Pairs:
    text = request.body.decode()
    # With one wide character in it, a text has four bytes for each character, and so has the
    # value that is made of it. The body is not needed beside them.
    request.body = b""
    value = given.loads(text, more_depth=1)  # the object itself
    if not isinstance(value, dict):
        raise RequestError(400, "the JSON must be an object, of parameters by name")
    return [*value.items()]


# Forms: https://url.spec.whatwg.org/#urlencoded-parsing


def _parse_form_body(request: Request) -> _Pairs:
    body = request.body
    if body.startswith(b"{"):  # curl sends JSON as a form unless it is told otherwise
        raise RequestError(415, "this looks like JSON: send Content-Type: application/json")
    if not body.isascii():
        body.decode()  # raises ValueError
    return _parse_form(body, request)


def _parse_form(data: bytes, request: Request) -> _Pairs:
    """Return the pairs of a query, or of a form that is encoded as one."""
    if data.count(b"&") >= request.limits.max_parameters:
        raise _too_many(request)  # before there are millions of them
    pairs: _Pairs = []
    for pair in data.split(b"&"):
        name, _, value = pair.partition(b"=")
        if pair:
            pairs.append((_decode(name), _decode(value)))
    return pairs


def _decode(data: bytes) -> str:
    """Return the text of a name or a value. It is decoded piece by piece: see `_PIECE`."""
    data = data.replace(b"+", b" ")
    pieces = []
    begin = 0
    while begin < len(data):
        end = begin + _PIECE
        # Three characters belong together.
        percent = data.rfind(b"%", end - 2, end)
        if percent > begin:
            end = percent
        pieces.append(unquote_to_bytes(data[begin:end]))
        begin = end
    return b"".join(pieces).decode("utf-8", "replace")


def _too_many(request: Request) -> RequestError:
    most = request.limits.max_parameters
    return RequestError(400, f"there are more than {most:,} parameters")
