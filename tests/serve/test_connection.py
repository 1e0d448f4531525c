"""`longop.serve.connection`: what one client may do, on real sockets."""

import contextlib
import json
import socket
import struct
import threading
import time

import pytest

from longop.web.wire import Response

from ..waiting import WAIT, wait_until
from .clients import PING, ask, connected, events_of, get, raw, rest, serving


def test_kept_connection(job):
    """Requests follow each other on one connection, until one says that it is the last."""
    with serving(job) as server, connected(server) as client:
        for _ in range(3):
            assert ask(client, PING)[0] == 200
            status, body = ask(client, get(f"/v1/jobs/{job.id}"))
            assert (status, json.loads(body)["id"]) == (200, job.id)
        head = PING.replace(b"GET", b"HEAD")
        assert ask(client, head) == (200, b"")
        assert ask(client, PING.replace(b"Host", b"Connection: close\r\nHost"))[0] == 200
        assert client.recv(1) == b""


@pytest.mark.parametrize("end", [b"", b"GET /v1 HTTP"])
def test_pipeline(job, end):
    """Requests that come together are answered in order; a half of one is not."""
    status = get(f"/v1/jobs/{job.id}")
    with serving(job) as server:
        answer = raw(server, (PING + status) * 200 + end)
    bodies = [text.partition("\r\n\r\n")[2][:7] for text in answer.decode().split("HTTP/1.1 ")[1:]]
    assert bodies == ['{"succe', '{"id":"'] * 200


def test_long_pipeline():
    """Who sends without waiting for answers is not listened to for so long, and gets them all."""
    with serving() as server, connected(server) as client:
        sending = threading.Thread(target=client.sendall, args=(PING * 5_000,))
        sending.start()
        seen = b""
        while seen.count(b"HTTP/1.1 200 ") < 5_000:
            seen += client.recv(1_000_000)
        sending.join(WAIT)


def test_late_input(start, steps):
    """What still comes when the last answer is on its way does not cost the client its end."""
    job = start(size=300_000)
    steps.step()
    with serving(job) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(server.address)
        client.sendall(get(f"/v1/jobs/{job.id}", Connection="close"))
        begin = client.recv(1)
        client.sendall(b"\r\n")
        assert len(begin + rest(client)) > 300_000


def test_any_cut(job):
    """It does not matter how the bytes of a request are cut."""
    data = get(f"/v1/jobs/{job.id}", Connection="close")
    with serving(job) as server:
        for cut in range(1, len(data)):
            with connected(server, data[:cut]) as client:
                client.sendall(data[cut:])
                assert rest(client).endswith(b"}")


def test_expect_continue():
    """A client that asks first is told to go on, or why it need not."""
    head = b"POST /v1/jobs/x/cancel HTTP/1.1\r\nHost: %b\r\nContent-Length: 2\r\nExpect: " \
           b"100-continue\r\n\r\n"
    with serving() as server:
        with connected(server, head % b"localhost") as client:
            assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert ask(client, b"{}")[0] == 404
        with connected(server, head % b"evil.example") as client:
            assert rest(client).startswith(b"HTTP/1.1 421 ")


def refused(server, data, **more):
    answer = raw(server, data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert json.loads(body)["status"] == int(head[9:12])
    return int(head[9:12])


@pytest.mark.parametrize(("data", "status"), [
    (b"nonsense\r\n\r\n", 400), (b"\x16\x03\x01", 400), (PING.replace(b"Host:", b"Host :"), 400),
    (PING.replace(b"\r\nHost", b"\nHost"), 400), (b"GET / HTTP/1.1\r\n\r\n", 400),
    (get("/", Content_Length="1, 2"), 400),
    (get("/", Content_Length=1, Transfer_Encoding="chunked"), 400),
    (get("/", Transfer_Encoding="chunked"), 411), (get("/", Transfer_Encoding="gzip"), 501),
    (get("/", Content_Length=31), 413), (get("/" + 50 * "a"), 414),
    (get("/", X=900 * "a"), 431), (get("/", A=1, B=2, C=3), 431)])
def test_refused(data, status):
    """What cannot be served, or is over a limit, is refused, and the connection ends."""
    with serving(max_body=30, max_url=50, max_head=500, max_headers=3) as server:
        assert refused(server, data) == status
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")


def test_answer_to_who_still_sends():
    """A client that does not look up while it sends too much is told so when it does."""
    data = b"POST /v1/x/y HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000001\r\n\r\n"
    with serving() as server, connected(server) as client:
        client.sendall(data + bytes(20_000_000))
        assert rest(client).startswith(b"HTTP/1.1 413 ")


def test_slow_clients(job):
    """Who takes too long to send a request is told so; others are served meanwhile."""
    begun = [b"GET / HT", b"", get("/", Content_Length=5) + b"ab"] * 30
    with serving(job, request_time=0.3, idle_time=0.3) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(server, data)) for data in begun]
        with connected(server) as other:
            assert ask(other, get(f"/v1/jobs/{job.id}"))[0] == 200
        for client, data in zip(clients, begun):
            assert rest(client)[:13] == (b"HTTP/1.1 408 " if data else b"")


def test_idle_connection():
    """A connection on which nothing is going on is kept for so long, and no longer."""
    with serving(idle_time=0.05) as server, connected(server) as client:
        assert ask(client, PING)[0] == 200
        assert client.recv(1) == b""


def test_large_answer(start, steps):
    """A large answer goes to a slow reader in parts, and nobody else waits for it."""
    job = start(size=20_000_000)
    steps.step()
    with serving(job) as server, connected(server, get(f"/v1/jobs/{job.id}")) as slow:
        begin = slow.recv(1000)
        with connected(server) as other:
            assert ask(other, PING)[0] == 200
        length = int(begin.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        left = length - len(begin.partition(b"\r\n\r\n")[2])
        while left:
            left -= len(slow.recv(100_000))
        assert length > 20_000_000
        assert ask(slow, PING)[0] == 200


def test_client_that_never_reads(start, steps):
    """A client that takes nothing of what it asked for is dropped after the idle time."""
    job = start(size=20_000_000)
    steps.step()
    with serving(job, idle_time=0.1) as server, connected(server, get(f"/v1/jobs/{job.id}")):
        wait_until(lambda: server.connections)
        wait_until(lambda: not server.connections)


def test_client_that_never_reads_but_asks(job):
    """What a client sends while it does not take its answers is bounded."""
    with serving(job, max_head=2_000) as server, connected(server) as client:
        client.settimeout(0.2)
        with contextlib.suppress(OSError):
            while True:
                client.sendall(get(f"/v1/jobs/{job.id}") * 1000)
        assert all(len(one._reader.buffer) < 200_000 for one in [*server.connections])


@pytest.mark.parametrize("data", [
    b"", b"GET / HT", get("/", Content_Length=5) + b"ab", PING, get("/v1/jobs"),
    "long poll", "events"])
def test_reset(job, data):
    """A client that is gone, whatever was going on, leaves nothing behind."""
    if isinstance(data, str):
        path = f"/v1/jobs/{job.id}"
        data = get(path + ("?since=99&wait=99" if data == "long poll" else "/events"))
    with serving(job) as server:
        with connected(server, data) as client:
            wait_until(lambda: server.connections)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: not server.connections)
        wait_until(lambda: not server._audiences)
        assert job._watchers == ()
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")


def test_half_closed(job):
    """A client that says that it will send no more still gets what it has asked for."""
    with serving(job) as server:
        assert raw(server, get("/v1/jobs") + get(f"/v1/jobs/{job.id}")).count(b"200 OK") == 2


def test_slow_answer(job):
    """An answer that has to wait for something holds up nobody but its own connection."""
    may = threading.Event()
    with serving(job) as server:
        answer_now = server.api.answer

        def answer(request):
            assert request.path != "/v1" or may.wait(WAIT)
            return answer_now(request)

        server.api.answer = answer
        with connected(server, get("/v1") + PING) as slow, connected(server) as other:
            assert ask(other, get(f"/v1/jobs/{job.id}"))[0] == 200
            assert ask(other, PING)[0] == 200
            may.set()
            assert ask(slow, b"")[1].startswith(b'{"operations"')


def test_client_that_leaves_a_slow_answer(job):
    """A client that goes while its answer is being found harms nobody."""
    may, asked = threading.Event(), threading.Event()
    with serving(job) as server:
        def answer(request):
            asked.set()
            assert may.wait(WAIT)
            return Response(200)

        server.api.answer = answer
        with connected(server, get("/v1")) as client:
            assert asked.wait(WAIT)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: not server.connections)
        may.set()
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")


def test_long_poll(job, steps):
    """A long poll is answered when the job changes, and the connection goes on."""
    with serving(job) as server, connected(server) as client:
        version = job.status().version
        client.sendall(get(f"/v1/jobs/{job.id}?since={version}&wait=100"))
        wait_until(lambda: server._audiences)
        steps.step()
        assert json.loads(ask(client, b"")[1])["step"] == 1
        assert ask(client, get(f"/v1/jobs/{job.id}?since=99&wait=0.02"))[0] == 200
        wait_until(lambda: not server._audiences)  # the answer is sent before it is forgotten
        assert job._watchers == ()


@pytest.mark.parametrize("line", ["GET /v1/jobs/{}?since=99999999&wait=9999999999999999",
                                  "POST /v1/clients/steps?size=1"])
def test_wait_for_ever(job, line):
    """A client may wait for years, and nobody minds."""
    data = f"{line} HTTP/1.1\r\nHost: a.localhost\r\nPrefer: wait=999999999\r\n\r\n"
    with serving(job, idle_time=0.05) as server, \
            connected(server, data.format(job.id).encode()):
        wait_until(lambda: time.monotonic() + 3_600 < server.loop.next_deadline < float("inf"))
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")


def test_events(job, steps):
    """Each change is sent until the end, which closes the stream."""
    with serving(job) as server, connected(server, get(f"/v1/jobs/{job.id}/events")) as client:
        events = events_of(client)
        assert next(events)["state"] == "running"
        for step in range(1, 4):
            steps.step()
            assert next(events)["step"] == step
        job.cancel()
        assert [event["state"] for event in events][-1] == "cancelled"


def test_heartbeat(job, monkeypatch):
    """A stream on which nothing happens says that it is there, however long."""
    monkeypatch.setattr("longop.web.held.HEARTBEAT", 0.01)
    with serving(job, idle_time=0.05) as server, \
            connected(server, get(f"/v1/jobs/{job.id}/events")) as client:
        seen = b""
        while seen.count(b"\n:\n\n") < 10:
            seen += client.recv(1000)


def test_slow_watcher(start, steps):
    """Who is slow gets the newest status and no backlog; the function does not wait for it."""
    job = start(size=2_000)
    with serving(job) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.settimeout(WAIT)
        client.connect(server.address)
        client.sendall(get(f"/v1/jobs/{job.id}/events"))
        stuck = False
        while not stuck:
            steps.step()
            time.sleep(0.011)  # the loop looks so often
            stuck = any(one._stuck for one in [*server.connections])
        before = job.status().step
        steps.step(2_000)
        seen = []
        for event in events_of(client):
            seen.append(event["step"])
            if event["step"] == before + 2_000:
                break
    assert len(seen) <= before + 5
