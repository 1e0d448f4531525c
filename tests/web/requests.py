"""Requests for the tests of `longop.web`."""

import sys

import pytest

from longop.errors import RequestError
from longop.web.limits import Limits
from longop.web.parameters import parameters
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


def found(body, kind, query="", limits=LIMITS):
    """Return the parameters of a request with this body, of this content type."""
    if isinstance(body, str):
        body = body.encode()
    headers = [f"Content-Type: {kind}"] if kind else []
    asked = request(*headers, line=f"POST /?{query} HTTP/1.1")
    asked.limits = limits
    return parameters(asked.with_body(body))


def steps_of(function, *args):
    """Return how many lines run in a call, and functions of C."""
    steps = 0

    def trace(frame, event, argument):
        nonlocal steps
        steps += 1
        return trace

    def profile(frame, event, argument):
        nonlocal steps
        if event == "c_call":
            steps += 1

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        function(*args)
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return steps
