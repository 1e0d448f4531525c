"""`longop.serve.server`: many connections, where it listens, and how it ends."""

import contextlib
import socket
import threading

import pytest

import longop.serve.server
from longop import State
from longop.serve.server import Server
from longop.web.api import Api
from longop.web.gate import Gate

from ..waiting import WAIT, wait_until
from .clients import PING, ask, connected, events_of, get, raw, rest, serving


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


def test_too_many_connections():
    """There may be so many connections; who comes then is told so."""
    with serving(max_connections=2) as server:
        with connected(server) as first, connected(server) as second:
            assert ask(first, PING)[0] == ask(second, PING)[0] == 200
            with connected(server) as third:
                assert rest(third).startswith(b"HTTP/1.1 503 ")
        wait_until(lambda: not server.connections)
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")


def test_far_too_many_connections(monkeypatch):
    """Beyond those that are told so, further ones are closed."""
    monkeypatch.setattr(longop.serve.server, "SURPLUS", 1)
    with serving(max_connections=1) as server, connected(server) as first:
        assert ask(first, PING)[0] == 200
        with connected(server) as second, connected(server) as third:
            assert rest(third) == b""
            assert rest(second).startswith(b"HTTP/1.1 503 ")


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
