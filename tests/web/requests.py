"""Requests for the tests of `longop.web`."""

import pytest

from longop.errors import RequestError
from longop.web.limits import Limits
from longop.web.request import Request

ALL_BYTES = bytes(range(256))
LIMITS = Limits()
MAX_HEAD = LIMITS.max_head


def read_head(head):
    return checked(head, LIMITS)


def checked(head, limits):
    request = Request(head, limits)
    request.check()
    return request


def request(*headers, line="GET / HTTP/1.1", host="Host: a"):
    lines = (line, *([host] if host else []), *headers, "")
    return read_head("".join(f"{text}\r\n" for text in lines).encode("latin-1"))


def status_of(function, *args, **kwargs):
    """Return the HTTP status with which a call fails."""
    with pytest.raises(RequestError) as caught:
        function(*args, **kwargs)
    assert str(caught.value)
    return caught.value.status
