"""The doors of `longop.web`, opened; and a conversation that all doors must hold alike."""

import contextlib
import http.client
import json
import socketserver
import threading
import wsgiref.simple_server
import wsgiref.validate
from http.server import ThreadingHTTPServer

import longop
from longop.web.gate import Gate
from longop.web.limits import Limits

from ..waiting import WAIT

SITE = "https://site.example"
TOKEN = {"Authorization": "Bearer secret"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=B"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def echo(callback, text: str = "", data: bytes = b""):
    """Say it again."""
    callback(text, 1, 1)
    return f"{text}{len(data)}"


def until_told(callback):
    for step in range(10_000):
        callback(f"step {step}", step)
        callback.wait(0.02)


def operations():
    return longop.LongOperation(echo), longop.LongOperation(until_told, when_busy="reject")


OPTIONS = {"gate": Gate("secret", allow_origins=[SITE]), "limits": Limits(max_body=10_000)}


@contextlib.contextmanager
def running(serve, stop):
    """Run a server in a thread of its own."""
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(WAIT)
        assert not thread.is_alive()


@contextlib.contextmanager
def handler():
    """Yield the address of somebody's http.server."""
    handler_class = longop.handler(*operations(), **OPTIONS)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_class) as server, running(
            lambda: server.serve_forever(0.01), server.shutdown):
        yield server.server_address


@contextlib.contextmanager
def wsgi():
    """Yield the address of a WSGI server; `wsgiref.validate` checks what passes."""
    application = wsgiref.validate.validator(longop.wsgi(*operations(), **OPTIONS))
    with wsgiref.simple_server.make_server("127.0.0.1", 0, application, _ThreadingServer,
                                           _QuietHandler) as server, running(
            lambda: server.serve_forever(0.01), server.shutdown):
        yield server.server_address


class _QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        pass


class _ThreadingServer(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class Client:
    """Asks a server; ``told`` is everything that was answered, except for ids and times."""

    def __init__(self, host, port):
        self.address = host, port
        self.told = []

    def ask(self, line, body=None, **headers):
        """Return the status, the JSON and the headers of an answer."""
        method, path = line.split()
        connection = http.client.HTTPConnection(*self.address, timeout=WAIT)
        with contextlib.closing(connection):
            headers = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, path, body, {**TOKEN, **headers})
            response = connection.getresponse()
            text = response.read()
        is_json = text and "json" in response.headers["Content-Type"]
        value = json.loads(text) if is_json else text
        keys = sorted(value) if isinstance(value, dict) else type(value).__name__
        interesting = {name: response.headers[name] for name in (
            "Content-Type", "Cache-Control", "X-Content-Type-Options", "Allow", "Retry-After",
            "WWW-Authenticate", "Preference-Applied", "Access-Control-Allow-Origin", "Vary")}
        self.told.append((response.status, keys, interesting))
        return response.status, value, response.headers


def converse(client):
    """Make each kind of request, and return what was told."""
    ask, job = client.ask, "/v1/jobs/"
    assert [one["name"] for one in ask("GET /v1")[1]["operations"]] == ["echo", "until_told"]
    assert ask("GET /openapi.json")[1]["openapi"] == "3.1.0"
    assert b"<title>longop</title>" in ask("GET /")[1]
    _starts(ask, job)
    _watching(ask, job, Client(*client.address).ask)
    _refusals(ask, job)
    return client.told


def _starts(ask, job):
    upload = (b'--B\r\nContent-Disposition: form-data; name="data"; filename="f"\r\n\r\n'
              b'\0\xff\r\n'
              b'--B\r\nContent-Disposition: form-data; name="text"\r\n\r\nhi\r\n--B--\r\n')
    for query, body, kind, expected in (
            ("?text=a%20b", b"", {}, "a b0"), ("?text=%C3%A9", b"", {}, "\u00e90"),
            ("", b"text=x+y", FORM, "x y0"),
            ("", b'{"text": "j", "data": "AAA="}', JSON, "j2"),
            ("", upload, MULTIPART, "hi2")):
        line = f"POST /v1/doors/echo{query}"
        status, value, headers = ask(line, body, Prefer="wait=10", **kind)
        assert (status, value["state"], value["result"]) == (200, "completed", expected)
        assert headers["Location"] == job + value["id"]
    assert ask("POST /v1/Doors/ECHO", Prefer="wait=10")[1]["state"] == "completed"
    keyed = {"Idempotency_Key": "k", "Prefer": "wait=10", **FORM}
    first, again = (ask("POST /v1/doors/echo", b"text=k", **keyed)[1] for _ in range(2))
    assert first["id"] == again["id"]
    assert ask("POST /v1/doors/echo", b"text=l", **keyed)[0] == 422
    status, value, _ = ask("POST /v1/doors/echo", b"text=1&no=2", Prefer="respond-async",
                           **FORM)
    assert (status, [*value["errors"]]) == (400, ["no"])
    assert ask("POST /v1/doors/echo", b"x", Content_Type="text/plain")[0] == 415
    assert ask(f"GET {job}{first['id']}")[1]["result"] == "k0"
    assert ask(f"HEAD {job}{first['id']}")[1] == b""
    assert ask(f"DELETE {job}{first['id']}")[0] == 204
    assert ask(f"GET {job}{first['id']}")[0] == 410


def _watching(ask, job, ask_beside):
    status, value, _ = ask("POST /v1/doors/until_told", Prefer="respond-async")
    assert (status, value["state"]) == (202, "running")
    id = value["id"]
    assert ask("POST /v1/doors/until_told", Prefer="respond-async")[0] == 409
    status, value, headers = ask(f"GET {job}{id}?since=3&wait=10")
    assert value["version"] > 3
    assert headers["Retry-After"] == "1"
    assert ask(f"GET {job}{id}?since=99999&wait=0.05")[1]["state"] == "running"
    assert ask(f"DELETE {job}{id}")[0] == 409
    assert ask("GET /v1/jobs")[1]["jobs"][0]["id"] == id
    assert ask(f"HEAD {job}{id}/events")[1] == b""
    thread = threading.Timer(0.1, ask_beside, (f"POST {job}{id}/cancel",))
    thread.start()
    status, stream, headers = ask(f"GET {job}{id}/events")
    thread.join(WAIT)
    events = [json.loads(line.partition(":")[2]) for line in stream.decode().splitlines()
              if line.startswith("data:")]
    assert len(events) > 2
    assert [event["version"] for event in events] == sorted({one["version"] for one in events})
    assert events[-1]["state"] == "cancelled"
    assert (status, headers["X-Accel-Buffering"]) == (200, "no")
    seen = {"Last-Event-ID": str(events[-1]["version"])}
    assert ask(f"GET {job}{id}/events", **seen)[0] == 204


def _refusals(ask, job):
    for path in ("/nothing", "/v1/jobs/x", "/v1/jobs/x/y"):
        assert ask(f"GET {path}")[0] == 404
    assert ask("PUT /v1/jobs")[0] == 405
    assert ask("GET /v1", Authorization="Bearer wrong")[0] == 401
    assert ask("POST /v1/doors/echo", b"text=1", Authorization="")[0] == 401
    assert ask("POST /v1/doors/echo", Origin="https://evil.example")[0] == 403
    assert ask("POST /v1/doors/echo", Origin=SITE, Prefer="wait=10")[0] == 200
    assert ask("OPTIONS /v1/doors/echo", Origin=SITE)[0] == 204
    assert ask("POST /v1/doors/echo", bytes(10_001), **FORM)[0] == 413
    assert ask("POST /v1/doors/echo", b"{", Prefer="respond-async", **JSON)[0] == 400
    for path in ("/v1/jobs/x", "/nothing"):
        assert sorted(ask(f"GET {path}")[1]) == ["detail", "status", "title", "type"]
