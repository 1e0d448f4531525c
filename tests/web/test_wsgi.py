"""`longop.web.wsgi`: the application in the hands of a WSGI server."""

import io
import json
import threading
import wsgiref.util
from wsgiref.validate import validator

import pytest

import longop
from longop.web.limits import Limits

from ..waiting import WAIT, wait_until


def echo(callback, text: str = ""):
    callback(text)
    return text


def until_told(callback):
    while True:
        callback("going on")
        callback.wait(0.01)


def environment(method="GET", path="/", body=b"", **more):
    """Return what a WSGI server makes of a request."""
    environ = {}
    wsgiref.util.setup_testing_defaults(environ)
    environ.update({"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path,
                    "QUERY_STRING": "", "CONTENT_LENGTH": str(len(body)),
                    "wsgi.input": io.BytesIO(body), **more})
    return environ


def call(application, environ):
    """Call an application as a server does; return the status, the headers and the body."""
    begun = []
    parts = application(environ, lambda *args: begun.append(args))
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    [(status, headers)] = begun
    return status, dict(headers), body


def test_start_and_status():
    """A job is started by one request, and its status answers another one."""
    application = validator(longop.wsgi(longop.LongOperation(echo)))
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "HTTP_PREFER": "wait=10"}
    status, headers, body = call(application, environment(
        "POST", "/v1/test_wsgi/echo", b"text=hello", **form))
    assert (status, json.loads(body)["result"]) == ("200 OK", "hello")
    status, headers, body = call(application, environment(path=headers["Location"]))
    assert (status, json.loads(body)["state"]) == ("200 OK", "completed")
    assert int(headers["Content-Length"]) == len(body)
    assert headers["Cache-Control"] == "no-store"


def test_wsgi_without_a_path():
    """A server may leave out a path that is empty, PEP 3333 says."""
    environ, begun = {}, []
    wsgiref.util.setup_testing_defaults(environ)
    del environ["PATH_INFO"]
    body = longop.wsgi()(environ, lambda *args: begun.append(args))
    assert begun[0][0] == "200 OK"
    assert b"<title>longop</title>" in b"".join(body)


def test_empty_entries_and_no_host():
    """A server may leave entries empty, and HTTP/1.0 has no Host."""
    environ = environment(path="/v1/jobs", CONTENT_LENGTH="", CONTENT_TYPE="")
    del environ["HTTP_HOST"]
    assert call(longop.wsgi(), environ)[0] == "200 OK"


def test_mounted_at_v1():
    """Mounted at ``/v1``, the application finds that part of the path in SCRIPT_NAME."""
    assert call(longop.wsgi(), environment(path="/jobs", SCRIPT_NAME="/v1"))[0] == "200 OK"


@pytest.mark.parametrize(("scheme", "expected"), [("http", "404"), ("https", "403")])
def test_scheme(scheme, expected):
    """A request that came over TLS, as the server says, is not one of a page without TLS."""
    environ = environment("POST", "/v1/jobs/x/cancel", HTTP_ORIGIN="http://127.0.0.1")
    environ["wsgi.url_scheme"] = scheme
    assert call(validator(longop.wsgi()), environ)[0][:3] == expected


def test_path_with_other_characters():
    """The path comes decoded, as PEP 3333 has it, and the answer names it encoded."""
    status, _, body = call(longop.wsgi(), environment(path="/caf\u00c3\u00a9 \r\n"))
    assert status == "404 Not Found"
    assert json.loads(body)["detail"] == "there is nothing at /caf%C3%A9%20%0D%0A"


def test_header_that_smuggles():
    """A header with a line end in it, from a server that lets it pass, is refused."""
    status, _, _ = call(longop.wsgi(), environment(HTTP_X="a\r\nContent-Length: 5"))
    assert status == "400 Bad Request"


def test_head():
    """The answer to HEAD has the headers of GET, and no body; a stream ends at once."""
    application = longop.wsgi()
    _, headers, _ = call(application, environment(path="/v1/jobs"))
    status, headers_alone, body = call(application, environment("HEAD", "/v1/jobs"))
    assert (status, headers_alone, body) == ("200 OK", headers, b"")


def test_body_that_ends_too_soon():
    """A body that is shorter than its length is a bad request."""
    environ = environment("POST", "/v1/test_wsgi/echo", b"text=", CONTENT_LENGTH="6")
    application = longop.wsgi(longop.LongOperation(echo))
    assert call(application, environ)[0] == "400 Bad Request"


def test_limits():
    """A body above the limit is refused, and not read."""
    environ = environment("POST", "/v1/test_wsgi/echo", b"1234")
    application = longop.wsgi(longop.LongOperation(echo), limits=Limits(max_body=3))
    assert call(application, environ)[0].startswith("413 ")
    assert environ["wsgi.input"].read() == b"1234"


@pytest.mark.parametrize("parts_read", [0, 2])
def test_client_that_leaves_a_stream(parts_read):
    """When the server closes the body, nothing watches the job any more."""
    operation = longop.LongOperation(until_told)
    job = operation.start()
    try:
        wait_until(lambda: job.status().result)
        before = job._watchers
        parts = longop.wsgi(operation)(environment(path=f"/v1/jobs/{job.id}/events"),
                                       lambda *args: None)
        assert len(job._watchers) == len(before) + 1
        for _ in range(parts_read):
            next(parts)
        parts.close()
        assert job._watchers == before
    finally:
        job.cancel()


def test_a_watcher_waits_in_the_servers_thread():
    """A long poll is answered when the job has changed."""
    operation = longop.LongOperation(until_told)
    application = longop.wsgi(operation)
    job = operation.start()
    path = f"/v1/jobs/{job.id}"
    answers = []
    environ = environment(path=path, QUERY_STRING="since=999999999&wait=60")
    thread = threading.Thread(target=lambda: answers.append(call(application, environ)))
    thread.start()
    call(application, environment("POST", f"{path}/cancel"))
    thread.join(WAIT)
    assert json.loads(answers[0][2])["state"] == "cancelled"
