"""`longop.web.handler` on real sockets, inside somebody's own ``http.server``."""

import contextvars
import http.client
import json
import socket
import socketserver
import sys
import threading
import types
from contextlib import contextmanager
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import longop
from longop.errors import RequestError
from longop.web.gate import Gate
from longop.web.handler import Handler
from longop.web.limits import Limits

from ..waiting import WAIT, wait_until

MAX_BODY = Limits().max_body


def echo(callback, text: str = "", data: bytes = b""):
    callback(text)
    return f"{text}{len(data)}"


@contextmanager
def serving(handler_class, server_class=ThreadingHTTPServer):
    server = server_class(("127.0.0.1", 0), handler_class)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(WAIT)


@pytest.fixture
def address():
    with serving(longop.handler(longop.LongOperation(echo))) as server:
        yield server.server_address


@contextmanager
def connected(address):
    connection = http.client.HTTPConnection(*address, timeout=WAIT)
    try:
        yield connection
    finally:
        connection.close()


def exchange(connection, method, path, body=None, headers=None, **more):
    connection.request(method, path, body, headers or {}, **more)
    response = connection.getresponse()
    return response, response.read()


def raw(address, data):
    """Send bytes as they are, and return all that comes back until the server closes."""
    with socket.create_connection(address, timeout=WAIT) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_whole_life_on_one_connection(address):
    """Start, status and forget go over one connection, which is kept alive."""
    with connected(address) as connection:
        _, body = exchange(connection, "POST", "/v1/test_handler/echo?text=hello",
                           headers={"Prefer": "respond-async"})
        path = "/v1/jobs/" + json.loads(body)["id"]
        socket_before = connection.sock
        status = {"state": ""}
        while status["state"] != "completed":
            response, body = exchange(connection, "GET", path)
            status = json.loads(body)
        assert (response.status, status["result"]) == (200, "hello0")
        response, body = exchange(connection, "HEAD", path)
        assert (response.status, body, int(response.headers["Content-Length"]) > 0) == (
            200, b"", True)
        assert exchange(connection, "DELETE", path)[0].status == 204
        assert exchange(connection, "GET", path)[0].status == 410
        assert connection.sock is socket_before


def test_pipelined_requests(address):
    """Requests that come together are answered in order."""
    host = b"HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = raw(address, b"GET /v1 " + host + b"GET /v1/jobs " + host)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b'{"operations":[{') < answer.index(b'{"jobs":[]}')


def test_head_split_at_every_byte(address):
    """A request may arrive in any two pieces."""
    request = b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for cut in range(1, len(request)):
        with socket.create_connection(address, timeout=WAIT) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request[:cut])
            connection.sendall(request[cut:])
            assert b"".join(iter(lambda: connection.recv(65536), b"")).endswith(b'{"jobs":[]}')


def test_expect_continue(address):
    """A client that expects ``100 Continue`` gets it before its body is read."""
    with socket.create_connection(address, timeout=WAIT) as connection:
        connection.sendall(b"POST /v1/test_handler/echo HTTP/1.1\r\nContent-Length: 6\r\n"
                           b"Host: [::1]\r\n"
                           b"Content-Type: application/x-www-form-urlencoded\r\n"
                           b"Expect: 100-continue\r\nPrefer: wait=10\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"text=a")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(("request_bytes", "status"), [
    (b"nonsense\r\n", 400), (b"GET /v1 HTTP/1.1\r\nbad header\r\n", 400),
    (b"GET /v1 HTTP/1.1\r\nX : a\r\n", 400), (b"GET /v1 HTTP/1.1\r\nX: a\r\n b\r\n", 400),
    (b"GET /v1 HTTP/1.1\r\nX: a\n", 400), (b"GET /v1 HTTP/1.1\r\nHost: localhost\r\n", 400),
    (b"GET /v1 HTTP/1.1\r\nX: " + 65_536 * b"x" + b"\r\n", 431),
    (b"GET /" + 9_000 * b"x" + b" HTTP/1.1\r\n", 414),
    (b"GET /nothing HTTP/1.1\r\nConnection: close\r\n", 404),
    (b"PUT /v1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
    (b"POST /v1/jobs/x/cancel HTTP/1.1\r\nContent-Length: -1\r\n", 400),
    (b"POST /v1/jobs/x/cancel HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
    (b"POST /v1/jobs/x/cancel HTTP/1.1\r\nTransfer-Encoding: gzip\r\n", 501),
    (b"POST /v1/jobs/x/cancel HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 411),
    (b"POST /v1/jobs/x/cancel HTTP/1.1\r\nContent-Length: %d\r\n" % (MAX_BODY + 1), 413)])
def test_bad_request(address, request_bytes, status):
    """A request that cannot be served is answered with the reason, and the connection ends."""
    line, _, rest = request_bytes.partition(b"\r\n")
    answer = raw(address, line + b"\r\nHost: localhost\r\n" + rest + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    assert json.loads(body)["status"] == status


def test_too_large_upload(address):
    """A client that uploads too much before it reads anything still gets its answer."""
    with connected(address) as connection:
        response, body = exchange(connection, "POST", "/v1/test_handler/echo",
                                  b"x" * (MAX_BODY + 1), {"Content-Type": "text/plain"})
        assert (response.status, json.loads(body)["status"]) == (413, 413)


@pytest.mark.parametrize("request_bytes", [
    b"", b"\r\n", b"GET /v1 HT", b"GET /v1 HTTP/1.1\r\nHost: x\r\n",
    b"POST /v1/jobs/x/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab"])
def test_client_that_leaves(address, request_bytes):
    """A client that leaves in the middle of a request gets no answer; others still do."""
    assert raw(address, request_bytes) in (b"", b"\r\n")
    with connected(address) as connection:
        assert exchange(connection, "GET", "/v1/jobs")[0].status == 200


def test_http_1_0(address):
    """A client of HTTP/1.0 gets its answer, and the connection is closed."""
    answer = raw(address, b"GET /v1/jobs HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert b"Connection: close" in answer


class Replying(Handler):
    """A handler whose ``do_...`` methods answer in one line."""

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Own(Replying):
    """Somebody's own handler."""

    operations = [longop.LongOperation(echo)]  # noqa: RUF012
    page = "/jobs"

    def do_GET(self):
        self.reply(b"mine: " + self.path.encode() + b" " + self.headers["X-Test"].encode())

    def do_POST(self):
        self.reply(b"got " + self.rfile.read(int(self.headers["Content-Length"])))


@pytest.mark.parametrize("server_class", [HTTPServer, ThreadingHTTPServer])
def test_own_handler(server_class):
    """Other paths go to the subclass, on the same connection too."""
    with serving(Own, server_class) as server, connected(server.server_address) as connection:
        for _ in range(3):
            assert exchange(connection, "GET", "/", headers={"X-Test": "y"})[1] == b"mine: / y"
            assert exchange(connection, "POST", "/x", b"body")[1] == b"got body"
            assert exchange(connection, "GET", "/v1/jobs")[0].status == 200
            assert b"<title>longop</title>" in exchange(connection, "GET", "/jobs")[1]
            assert exchange(connection, "PUT", "/x")[0].status == 404


def test_a_job_has_the_context_of_its_request():
    """A job sees the context variables of its request's thread, also if it had to wait."""
    who = contextvars.ContextVar("who", default="nobody")
    go = threading.Event()

    def see(callback):
        assert go.wait(WAIT)
        return who.get()

    operation = longop.LongOperation(see)

    class Named(Own):
        operations = [operation]  # noqa: RUF012

        def setup(self):
            who.set(self.client_address[1])
            super().setup()

    ports = []
    with serving(Named) as server:
        for _ in range(2):
            with connected(server.server_address) as connection:
                headers = {"Prefer": "respond-async", "Content-Length": "0"}
                path = "/v1/test_handler/see"
                assert exchange(connection, "POST", path, headers=headers)[0].status == 202
                ports.append(connection.sock.getsockname()[1])
    first, second = operation.live.values()
    assert second.state is longop.State.QUEUED
    go.set()
    assert [first.result(WAIT), second.result(WAIT)] == ports


def test_limits_are_of_our_routes():
    """The limits do not apply to requests for the subclass."""
    class Narrow(Own):
        limits = Limits(max_body=3, max_url=30)

    with serving(Narrow) as server:
        for path, ours in ("/x", 200), ("/v1/test_handler/echo", 413):
            with connected(server.server_address) as connection:
                assert exchange(connection, "POST", path, b"body")[0].status == ours
        for path, ours in ("/" + "a" * 50, 200), ("/v1/jobs/" + "a" * 50, 414):
            with connected(server.server_address) as connection:
                headers = {"X-Test": "y"}
                assert exchange(connection, "GET", path, headers=headers)[0].status == ours


@pytest.mark.parametrize("path", ["/v1/jobs", "/mine"])
def test_server_without_threads(path):
    """A client that stays does not keep others waiting where the server has no threads."""
    with serving(Own, HTTPServer) as server, connected(server.server_address) as first, \
            connected(server.server_address) as second:
        for connection in (first, second, first):
            assert exchange(connection, "GET", path, headers={"X-Test": "y"})[0].status == 200


def test_silence():
    """A silent connection is closed."""
    handler = longop.handler(longop.LongOperation(echo), limits=Limits(idle_time=0.05))
    with serving(handler) as server, \
            socket.create_connection(server.server_address, WAIT) as idle:
        idle.sendall(b"GET /v1 HT")
        assert idle.recv(1) == b""


def test_own_error_is_the_servers():
    """A ``ConnectionError`` of the subclass goes to the server: no client was lost."""
    errors = []

    class Broken(Handler):
        operations = (longop.LongOperation(echo),)

        def do_GET(self):
            raise ConnectionRefusedError("the database is down")

    class Server(HTTPServer):
        def handle_error(self, request, client_address):
            errors.append(sys.exc_info()[1])

    with serving(Broken, Server) as server:
        request = b"GET /mine HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert raw(server.server_address, request) == b""
    assert [str(error) for error in errors] == ["the database is down"]


def test_beside_another_handler(tmp_path):
    """The handler can be combined with another one, such as that for files."""
    (tmp_path / "file.txt").write_text("file")

    class Files(Handler, SimpleHTTPRequestHandler):
        operations = (longop.LongOperation(echo),)

        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *args):
            pass

    with serving(Files) as server, connected(server.server_address) as connection:
        assert exchange(connection, "GET", "/file.txt")[1] == b"file"
        assert exchange(connection, "GET", "/v1/jobs")[0].status == 200


def test_an_answer_of_somebodys_own_without_a_length():
    """A ``do_GET`` that sends no length ends its answer by closing the connection."""
    class Handler(longop.handler(longop.LongOperation(echo), page="/jobs")):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"mine")

    with serving(Handler) as server, connected(server.server_address) as connection:
        response, body = exchange(connection, "GET", "/")
        assert (response.status, body) == (200, b"mine")


SMUGGLED = (b"POST /v1/test_handler/echo HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 0\r\n\r\n")


class Careless(Own):
    """Answers a request without a look at its body, or reads as much as a header says."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("X-Read", "0")))
        self.reply(b"mine")

    do_POST = do_PUT = do_GET  # noqa: N815


def announce(method, framing, body, *more):
    """Return a request for the embedder's own method, and one that stands behind it."""
    lines = [b"%b /mine HTTP/1.1" % method, b"Host: localhost", framing, *more]
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT"])
@pytest.mark.parametrize("framing", [b"Content-Length: %d" % len(SMUGGLED),
                                     b"Transfer-Encoding: chunked"])
def test_a_body_that_nobody_read_is_no_request(method, framing):
    """What is left of a body that the subclass did not read ends with its connection."""
    with serving(Careless) as server:
        answer = raw(server.server_address, announce(method, framing, SMUGGLED))
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.endswith(b"\r\n\r\nmine")


def test_a_body_that_was_read_in_part():
    """A part of a body that was left is no request either."""
    filled = b"a=1&" + SMUGGLED
    with serving(Careless) as server:
        framing = b"Content-Length: %d" % len(filled)
        answer = raw(server.server_address, announce(b"POST", framing, filled, b"X-Read: 4"))
        assert b"HTTP/1.1 " not in answer.partition(b"mine")[2]


def test_no_more_than_the_body_can_be_read():
    """A subclass that reads on reaches the end of its body, and not the next request."""
    with serving(Careless) as server:
        first = announce(b"POST", b"Content-Length: 4", b"body", b"X-Read: -1")
        answer = raw(server.server_address, first + SMUGGLED)
        # The second is a start, which is 202 in a copy without CodeProject's words.
        assert answer.count(b"HTTP/1.1 20") == 2
        assert answer.partition(b"mine")[2].endswith(b"}")


def test_a_body_that_was_not_wanted():
    """A subclass may refuse ``Expect``; the body that comes all the same is no request."""
    class Refusing(Careless):
        def handle_expect_100(self):
            self.reply(b"mine")
            return False

    with serving(Refusing) as server:
        framing = b"Content-Length: %d" % len(SMUGGLED)
        answer = raw(server.server_address, announce(b"POST", framing, SMUGGLED,
                                                     b"Expect: 100-continue"))
        assert answer.count(b"HTTP/1.1 ") == 1


def test_a_large_body_that_nobody_read():
    """A client that uploads more than the buffers hold still gets its answer."""
    with serving(Careless) as server, connected(server.server_address) as connection:
        assert exchange(connection, "POST", "/mine", bytes(8_000_000))[1] == b"mine"


# The class and its settings


def test_handler_makes_a_class():
    """`longop.handler` makes a class with these settings."""
    operation, gate, limits = longop.LongOperation(echo), Gate("secret"), Limits(idle_time=3.0)
    made = longop.handler(operation, page="/jobs", gate=gate, limits=limits)
    assert issubclass(made, Handler)
    assert (made.operations, made.page, made.gate, made.limits, made.timeout) == (
        (operation,), "/jobs", gate, limits, 3.0)
    usual = longop.handler(operation)
    assert (usual.page, usual.gate, usual.limits) == ("/", Handler.gate, Handler.limits)
    assert longop.handler(operation, page=None).page is None


def test_a_subclass_shares_its_parents_api():
    """A class with its parent's settings has its Api, too; other settings make another."""
    class Same(Own):
        page = "/jobs"

    class Elsewhere(Own):
        page = "/elsewhere"

    assert Same.api is Own.api
    assert Elsewhere.api is not Own.api
    assert longop.handler().api is not longop.handler().api


def test_settings_of_a_mixin():
    """Settings may be inherited from a class that is no handler."""
    class Settings:
        operations = (longop.LongOperation(echo),)
        page = None

    class Mixed(Settings, Handler):
        pass

    with serving(Mixed) as server, connected(server.server_address) as connection:
        assert exchange(connection, "GET", "/")[0].status == 404
        assert b"echo" in exchange(connection, "GET", "/v1")[1]


def test_gate_of_a_class():
    """A class's gate decides who may come in."""
    class Guarded(Own):
        gate = Gate("secret")

    with serving(Guarded) as server, connected(server.server_address) as connection:
        assert exchange(connection, "GET", "/v1/jobs")[0].status == 401
        bearer = {"Authorization": "Bearer secret"}
        assert exchange(connection, "GET", "/v1/jobs", headers=bearer)[0].status == 200


def test_timeout_follows_the_limits():
    """The idle time is the timeout, unless the class has one of its own."""
    class Limited(Own):
        limits = Limits(idle_time=7.0)

    class Further(Limited):
        page = None

    class Impatient(Limited):
        timeout = 1.0

    class Patient(Own):
        limits = Limits(idle_time=7.0)
        timeout = None

    class StillPatient(Patient):
        page = None

    assert Own.timeout == Limits().idle_time
    assert (Limited.timeout, Further.timeout, Impatient.timeout) == (7.0, 7.0, 1.0)
    assert (Patient.timeout, StillPatient.timeout) == (None, None)


@pytest.mark.parametrize(("name", "value", "error"), [
    ("operations", longop.LongOperation(echo), TypeError), ("operations", [echo], TypeError),
    ("operations", None, TypeError), ("operations", "echo", TypeError), ("page", 1, TypeError),
    ("page", "jobs", ValueError), ("page", "", ValueError), ("gate", "secret", TypeError),
    ("gate", None, TypeError), ("limits", {"max_body": 1}, TypeError)])
def test_wrong_settings(name, value, error):
    """A wrong setting is an error when the class is created, and the message names it."""
    with pytest.raises(error, match=rf"^Wrong\.{name} must "):
        type("Wrong", (Handler,), {name: value})


def test_two_operations_with_one_route():
    """Operations that cannot be served together are an error when the class is created."""
    with pytest.raises(ValueError, match="route is taken"):
        longop.handler(longop.LongOperation(echo), longop.LongOperation(echo))


def test_an_error_of_somebodys_own_is_not_ours():
    """The errors of a ``do_...`` method go to the server, even those that longop defines."""
    errors = []

    class Broken(Own):
        def do_GET(self):
            raise RequestError(400, "mine")

    class Server(HTTPServer):
        def handle_error(self, request, client_address):
            errors.append(sys.exc_info()[1])

    with serving(Broken, Server) as server:
        request = b"GET /mine HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert raw(server.server_address, request) == b""
    assert [str(error) for error in errors] == ["mine"]
    assert errors[0].__context__ is None


def test_client_that_leaves_a_stream():
    """When the client of a stream leaves, nothing watches its job any more."""
    def until_told(callback):
        while True:
            callback("going on")
            callback.wait(0.01)

    operation = longop.LongOperation(until_told)
    job = operation.start()
    wait_until(lambda: job.status().result)
    before = job._watchers
    with serving(longop.handler(operation)) as server:
        with socket.create_connection(server.server_address, WAIT) as client:
            client.sendall(f"GET /v1/jobs/{job.id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
                           .encode())
            assert client.recv(10) == b"HTTP/1.1 2"
            assert job._watchers != before
        wait_until(lambda: job._watchers == before)
    job.cancel()


@pytest.mark.parametrize(("connection", "is_secure"), [
    (types.SimpleNamespace(cipher=lambda: None), True), (types.SimpleNamespace(), False)])
def test_scheme(connection, is_secure):
    """A request on a socket of `ssl` came over TLS."""
    cls = longop.handler()
    handler = cls.__new__(cls)
    handler.connection = connection
    request = handler._read_head(b"GET /v1 HTTP/1.0\r\n\r\n")
    assert request.is_secure is is_secure


@pytest.mark.skipif(not hasattr(socketserver, "ForkingMixIn"), reason="needs fork")
def test_server_that_forks(caplog):
    """A server with a process for each connection is refused, and the log says so in a line."""

    class Connection(Handler):
        server = type("Forking", (socketserver.ForkingMixIn,), {})()

        def __init__(self, here):
            self.connection = here
            self.rfile = here.makefile("rb")

    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"GET /v1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        there.shutdown(socket.SHUT_WR)
        connection = Connection(here)
        with connection.rfile:
            connection.handle()
        answer = there.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"use ThreadingHTTPServer" in answer
    [line] = caplog.messages
    assert "use ThreadingHTTPServer" in line


def test_bodies_in_flight():
    """Over the limit of all bodies a large one is refused; its room is given back at the end."""
    limits = Limits(max_in_flight=200_000)
    handler_class = longop.handler(longop.LongOperation(echo), limits=limits)
    in_flight = handler_class.api.in_flight
    head = (b"POST /v1/jobs/x/cancel HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 150000\r\n\r\n")
    with serving(handler_class) as server:
        with socket.create_connection(server.server_address, timeout=WAIT) as first:
            first.sendall(head)
            wait_until(lambda: in_flight._bytes == 150_000)
            assert raw(server.server_address, head).startswith(b"HTTP/1.1 503 ")
            first.sendall(bytes(150_000))
            assert first.recv(13) == b"HTTP/1.1 404 "
            assert in_flight._bytes == 0
            first.sendall(head)
            wait_until(lambda: in_flight._bytes == 150_000)
        wait_until(lambda: in_flight._bytes == 0)
