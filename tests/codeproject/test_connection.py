"""`longop.codeproject.connection`: requests to CodeProject.AI Server."""

import contextlib
import socket
import subprocess
import sys
import threading

import pytest

from longop.codeproject import connection
from longop.codeproject.connection import Connection

from ..waiting import WAIT

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Peer:
    """Answers each request with the next of some texts; then it closes the connection.

    A None among them closes it before, and the next one is for another connection.
    """

    def __init__(self, *answers, host="127.0.0.1"):
        self.requests, self.connections = [], 0
        self._answers = list(answers)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._thread.join(WAIT)
        self._listener.close()
        assert not self._thread.is_alive()

    def _run(self):
        while self._answers:
            client, _ = self._listener.accept()
            self.connections += 1
            with client, contextlib.suppress(OSError):
                client.settimeout(WAIT)
                self._serve(client)

    def _serve(self, client):
        while self._answers:
            answer = self._answers.pop(0)
            if answer is None:
                return
            self.requests.append(_read_request(client))
            client.sendall(answer)


def _read_request(client):
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    _, _, length = head.partition(b"Content-Length: ")
    while len(body) < int(length.split(b"\r")[0] or 0):
        body += client.recv(65_536)
    return head.decode(), body.decode()


@pytest.fixture
def ask():
    """Return a function that asks a peer with these answers once, and returns what comes."""
    with contextlib.ExitStack() as stack:
        def ask(*answers):
            peer = stack.enter_context(Peer(*answers))
            server = stack.enter_context(contextlib.closing(Connection(peer.port)))
            return server.ask("GET", "queue/q")

        yield ask


@pytest.mark.parametrize(("answer", "wanted"), [
    (OK, (200, "ok")),
    (INTERIM + INTERIM + OK, (200, "ok")),
    (OK.replace(b"Content-Length", b"content-LENGTH"), (200, "ok")),
    (OK.replace(b"\r\n", b"\n"), (200, "ok")),
    (OK.replace(b"HTTP/1.1 200 OK", b"HTTP/1.0 503 away"), (503, "ok")),
    (b"HTTP/1.1 204 No Content\r\n\r\n", (204, "")),
    (b"HTTP/1.1 200 OK\r\n\r\nto the end", (200, "to the end")),
    (CHUNKED + b"1\r\n\xc3\r\nA;x=y\r\n\xa9234567890\r\n0\r\nX: y\r\n\r\n", (200, "\xe9234567890")),
    (CHUNKED + b"0\r\n\r\n", (200, "")),
    (OK.replace(b"ok", b"\xff!"), (200, "\ufffd!"))])
def test_answers(ask, answer, wanted):
    """An answer is read whole, however it says where it ends."""
    assert ask(answer) == wanted


@pytest.mark.parametrize(("answer", "why"), [
    (b"", "closed the connection"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "does not answer with HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Le", "middle of a line"),
    (OK[:-1], "ends 1 bytes early"),
    (OK.replace(b": 2", b": -2"), "Content-Length is no number: '-2'"),
    (OK.replace(b": 2", b": 9999999999999999"), "larger than 100,000,000 bytes"),
    (CHUNKED + b"x\r\n", "has no size"),
    (CHUNKED + b"ffffffff\r\n", "larger than"),
    (CHUNKED + b"5\r\nabc", "ends 2 bytes early"),
    (b"HTTP/1.1 200 OK\r\n" + 101 * b"X: y\r\n" + b"\r\n", "more than 100 headers"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "middle of a line")])
def test_what_is_no_answer(ask, answer, why):
    """What is not a whole answer is an ``OSError`` that says what is wrong with it."""
    with pytest.raises(OSError, match=why):
        ask(answer)


def test_chunks_that_never_end(ask, monkeypatch):
    """An answer in chunks is given up at the same size as any other."""
    monkeypatch.setattr(connection, "_MAX_BODY", 10)
    with pytest.raises(OSError, match="larger than"):
        ask(CHUNKED + b"4\r\nabcd\r\n" * 3)


def test_address_of_this_machine(ask, monkeypatch):
    """The server is asked at its address, not by a name that might be looked up as IPv6 first."""
    tried = []
    connect = socket.create_connection

    def dial(address, *rest):
        tried.append(address[0])
        return connect(address, *rest)

    monkeypatch.setattr(socket, "create_connection", dial)
    assert ask(OK) == (200, "ok")
    assert tried == ["127.0.0.1"]


def test_server_of_ipv6_alone():
    """A server that listens at the address of IPv6 only is found there."""
    try:
        peer = Peer(OK, host="::1")
    except OSError:
        pytest.skip("there is no IPv6")
    with peer, contextlib.closing(Connection(peer.port)) as server:
        assert server.ask("GET", "queue/q") == (200, "ok")


def test_no_server():
    """Where nobody listens, the error is that of the first address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with contextlib.closing(Connection(port)) as server, pytest.raises(ConnectionRefusedError):
        server.ask("GET", "queue/q")


def test_one_connection_for_all_requests():
    """Requests follow each other on one connection, each in one piece, with what it needs."""
    with Peer(OK, OK, OK) as peer, contextlib.closing(Connection(peer.port)) as server:
        server.ask("GET", "queue/q?moduleId=a%20b")
        server.ask("POST", "queue/7", '{"\xe9": 1}', "application/json")
        server.ask("POST", "log/", "entry=x")
    host = f"HTTP/1.1\r\nHost: localhost:{peer.port}"
    assert peer.connections == 1
    assert peer.requests == [
        (f"GET /v1/queue/q?moduleId=a%20b {host}", ""),
        (f"POST /v1/queue/7 {host}\r\nContent-Type: application/json\r\nContent-Length: 9",
         '{"\xe9": 1}'),
        (f"POST /v1/log/ {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
         "Content-Length: 7", "entry=x")]


@pytest.mark.parametrize("first", [
    OK.replace(b"\r\n\r\n", b"\r\nConnection: Close\r\n\r\n"), OK.replace(b"1.1", b"1.0")])
def test_a_connection_that_is_not_kept(first):
    """After an answer that says so, the next request opens another connection."""
    with Peer(first, None, OK) as peer, contextlib.closing(Connection(peer.port)) as server:
        assert server.ask("GET", "x") == server.ask("GET", "x") == (200, "ok")
    assert peer.connections == 2


def test_a_kept_connection_that_broke():
    """On a kept connection that has broken, a body is sent once more, and a poll is not."""
    with Peer(OK, None, OK, None, OK) as peer, \
            contextlib.closing(Connection(peer.port)) as server:
        server.ask("GET", "first")
        assert server.ask("POST", "x", "body") == (200, "ok")
        with pytest.raises(OSError, match=r"closed|reset"):
            server.ask("GET", "poll")
        assert server.ask("GET", "again") == (200, "ok")
    assert [head.split()[1] for head, _ in peer.requests] == ["/v1/first", "/v1/x", "/v1/again"]


def test_a_body_has_a_time_limit(monkeypatch):
    """A server that does not answer to a body is given up; the socket is closed."""
    monkeypatch.setattr(connection, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, \
            contextlib.closing(Connection(silent.getsockname()[1])) as server:
        with pytest.raises(OSError, match="timed out"):
            server.ask("POST", "x", "body")
        assert server._socket is None


def test_hang_up_ends_a_poll():
    """A poll that waits ends when another thread hangs up."""
    errors = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Connection(listener.getsockname()[1])
        server.hang_up()  # it is not open yet, and that does no harm

        def poll():
            try:
                server.ask("GET", "poll")
            except OSError as error:
                errors.append(error)

        thread = threading.Thread(target=poll)
        thread.start()
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(WAIT)
            while b"\r\n\r\n" not in peer.recv(1000):
                pass
            server.hang_up()
            assert peer.recv(1) == b""
        thread.join(WAIT)
    assert len(errors) == 1


def test_what_a_module_loads():
    """A module that gets its work from the queue needs neither ``email`` nor ``ssl``."""
    script = ("import sys; import longop.codeproject.__main__;"
              "print({'email', 'ssl', 'http.client', 'socketserver'} & {*sys.modules})")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, "
                           f"{str(connection.__file__.rpartition('longop')[0])!r}); {script}"],
                          stdout=subprocess.PIPE, check=True, text=True)
    assert done.stdout == "set()\n"
