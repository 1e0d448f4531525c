"""`longop.serve.server`: many connections, where it listens, and how it ends."""

import contextlib
import socket
import threading
from concurrent.futures import wait

import pytest

import longop.serve.server
from longop import State
from longop.serve.server import Server
from longop.web.api import Api
from longop.web.gate import Gate
from longop.web.limits import Limits

from ..waiting import WAIT, wait_until
from .clients import PING, ask, connected, events_of, first_event_of, get, raw, rest, serving


def test_a_thousand_slow_clients(job):
    """So many keep nobody waiting, and all of them are told."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2_500:
        pytest.skip("needs 2,500 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_500), hard))
    with serving(job, request_time=3) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(server, b"GET / HT")) for _ in range(1_000)]
        wait_until(lambda: len(server.connections) == 1_000)
        with connected(server) as other:
            for client in clients[:100]:
                client.sendall(b"T")  # it goes on, but to no end
                assert ask(other, get(f"/v1/jobs/{job.id}"))[0] == 200
        assert {rest(client)[:13] for client in clients} == {b"HTTP/1.1 408 "}


def watch(client, job):
    """Watch a job on a connection, which is busy from then on."""
    client.sendall(get(f"/v1/jobs/{job.id}/events"))
    with contextlib.closing(events_of(client)) as events:
        next(events)


def test_too_many_connections(job):
    """There may be so many connections; while all are busy, who comes then is told so."""
    with serving(job, max_connections=2) as server:
        with connected(server) as first, connected(server) as second:
            watch(first, job)
            watch(second, job)
            with connected(server) as third:
                assert rest(third).startswith(b"HTTP/1.1 503 ")
        wait_until(lambda: not server.connections)
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")


def test_far_too_many_connections(job, monkeypatch):
    """Beyond those that are told so, further ones are closed."""
    monkeypatch.setattr(longop.serve.server, "SURPLUS", 1)
    with serving(job, max_connections=1) as server, connected(server) as first:
        watch(first, job)
        with connected(server) as second, connected(server) as third:
            assert rest(third) == b""
            assert rest(second).startswith(b"HTTP/1.1 503 ")


TOKEN = {"Authorization": "Bearer secret"}


@contextlib.contextmanager
def serving_owner(job, **limits):
    """Serve with a token; yield the server."""
    with serving(job, **limits) as server:
        server.api = Api([job.of_operation], gate=Gate("secret"), limits=Limits(**limits))
        yield server


def is_open(client):
    client.settimeout(0.05)
    try:
        return client.recv(1) != b""
    except socket.timeout:
        return True
    except ConnectionError:
        return False


@pytest.mark.parametrize("begun", [b"", b"GET / HT", get("/v1")])
def test_strangers_go_first(job, begun):
    """Many who show no token lock nobody out: the idlest of them makes room for who comes."""
    cancel = get(f"/v1/jobs/{job.id}/cancel", **TOKEN).replace(b"GET", b"POST")
    with serving_owner(job, max_connections=10) as server, contextlib.ExitStack() as stack:
        owner = stack.enter_context(connected(server))
        assert ask(owner, get("/v1", **TOKEN))[0] == 200
        strangers = []
        for _ in range(30):
            strangers.append(stack.enter_context(connected(server, begun)))
        wait_until(lambda: not is_open(strangers[15]))
        wait_until(lambda: len(server.connections) == 10)
        assert ask(owner, get("/v1", **TOKEN))[0] == 200
        with connected(server) as another:
            assert ask(another, cancel)[0] == 200
        assert wait([job], WAIT).done


def test_the_idlest_goes_first(job):
    """Of the strangers the one goes that was silent longest, and not the oldest one."""
    with serving_owner(job, max_connections=2) as server, \
            connected(server) as first, connected(server) as second:
        wait_until(lambda: len(server.connections) == 2)
        first.sendall(b"GET / HT")
        wait_until(lambda: [*server._shared.strangers][-1]._reader.buffer)
        with connected(server) as third:
            assert rest(second) == b""
            assert is_open(first)
            assert is_open(third)


def test_idle_owners_go_next(job):
    """Without strangers, the idlest connection between two requests makes room."""
    with serving_owner(job, max_connections=3) as server, \
            connected(server) as busy, connected(server) as idle, connected(server) as newer:
        busy.sendall(get(f"/v1/jobs/{job.id}/events", **TOKEN))
        first_event_of(busy)
        assert ask(idle, get("/v1", **TOKEN))[0] == ask(newer, get("/v1", **TOKEN))[0] == 200
        with connected(server) as third:
            assert ask(third, get("/v1", **TOKEN))[0] == 200
            assert idle.recv(1) == b""
            assert ask(newer, get("/v1", **TOKEN))[0] == 200
        job.cancel()
        assert [*events_of(busy)][-1]["state"] == "cancelled"


def test_a_preflight_request_shows_no_token(job):
    """A preflight request, which needs no token, leaves its sender a stranger."""
    with serving_owner(job) as server, connected(server) as client:
        assert ask(client, get("/v1").replace(b"GET", b"OPTIONS"))[0] == 204
        assert len(server._shared.strangers) == 1
        assert ask(client, get("/v1"))[0] == 401
        assert len(server._shared.strangers) == 1
        assert ask(client, get("/v1", **TOKEN))[0] == 200
        assert len(server._shared.strangers) == 0


def test_making_room_costs_the_same_however_many_there_are(job, monkeypatch):
    """To make room, one stranger is looked at, of ten as of a hundred."""
    looked = []
    leave = longop.serve.server.Connection.leave
    idle_since = longop.serve.server.Connection.idle_since
    monkeypatch.setattr(longop.serve.server.Connection, "leave",
                        lambda one: looked.append("left") or leave(one))
    monkeypatch.setattr(longop.serve.server.Connection, "idle_since",
                        lambda one: looked.append("looked") or idle_since(one))
    for most in 10, 100:
        looked.clear()
        with serving_owner(job, max_connections=most) as server, \
                contextlib.ExitStack() as stack:
            for _ in range(most + 5):
                stack.enter_context(connected(server))
            wait_until(lambda: len(looked) == 5)
            assert looked == 5 * ["left"]


@pytest.mark.parametrize(("files", "most"), [
    (64, 44), (256, 176), (1_024, 704), (4_096, 2_000), (1_000_000, 2_000), (-1, 2_000)])
def test_limit_of_files(monkeypatch, files, most):
    """Of the files that a process may have open, some are kept for what is no connection."""
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (files, files))
    monkeypatch.setattr(resource, "RLIM_INFINITY", -1)
    with serving() as server:
        assert server._max_connections() == most


def test_close(job):
    """At the end idle connections are closed, a stream when its job has ended."""
    with serving(job) as server, connected(server) as idle, \
            connected(server, get(f"/v1/jobs/{job.id}/events")) as stream:
        events = events_of(stream)
        next(events)
        assert ask(idle, PING)[0] == 200
        server.stop_listening()
        wait_until(lambda: server._listener.fileno() < 0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.address, WAIT)
        assert ask(idle, PING)[0] == 200
        server.close()
        assert idle.recv(1) == b""
        job.cancel()
        assert [event["state"] for event in events][-1] == State.CANCELLED.value


def test_bad_address():
    """Where it cannot listen, the server says so, and what to do."""
    with serving() as server, pytest.raises(OSError, match="choose another --port"):
        Server(*server.address)
    with pytest.raises(OSError, match="cannot listen on"):
        Server("127.0.0.1", 99_999)


def test_ipv6():
    """An address of IPv6 will do."""
    try:
        server = Server("::1", 0)
    except OSError:
        pytest.skip("there is no IPv6")
    server.api = Api([])
    thread = threading.Thread(target=server.serve)
    thread.start()
    with socket.create_connection(server._listener.getsockname()[:2], WAIT) as client:
        assert server.url.startswith("http://[::1]:")
        assert ask(client, PING.replace(b"localhost", b"[::1]:1"))[0] == 200
    server.close()
    thread.join(WAIT)


def test_no_descriptor_left(job):
    """Where there are no more descriptors, the server waits for one."""
    resource = pytest.importorskip("resource")
    with serving(job) as server, contextlib.ExitStack() as stack:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        clients = [socket.socket() for _ in range(3)]
        for client in clients:
            stack.enter_context(client)
        highest = clients[-1].fileno() + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, limit[1]))
        try:
            for client in clients:
                client.settimeout(WAIT)
                client.connect(server.address)
                client.sendall(PING)
            for client in clients:
                client.close()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")


def test_gate_of_the_server(job):
    """What the gate refuses is refused before its body has come."""
    with serving(job) as server:
        server.api = Api([job.of_operation], gate=Gate("secret"))
        data = b"POST /v1/clients/steps HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        with connected(server, data) as client:
            assert rest(client).startswith(b"HTTP/1.1 401 ")
        data = data.replace(b"Host", b"Authorization: Bearer secret\r\nHost")
        with connected(server) as client:
            assert ask(client, data + b"size=2000")[0] == 415
