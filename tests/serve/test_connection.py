"""`longop.serve.connection`: what one client may do, on real sockets."""

import contextlib
import json
import socket
import struct
import threading
import time

import pytest

import longop.web.texts
from longop.serve.connection import STARTERS
from longop.serve.loop import READ
from longop.web.held import Held
from longop.web.wire import Response

from ..pythons import tells_resets
from ..waiting import WAIT, wait_until
from .clients import PING, ask, connected, events_of, first_event_of, get, raw, rest, serving


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
    answers = answer.decode().split("HTTP/1.1 ")[1:]
    bodies = [text.partition("\r\n\r\n")[2][:7] for text in answers]
    assert bodies == ['{"succe', '{"id":"'] * 200


def test_long_pipeline():
    """A client that sends faster than it reads answers is slowed down, and gets them all."""
    with serving() as server, connected(server) as client:
        sending = threading.Thread(target=client.sendall, args=(PING * 5_000,))
        sending.start()
        status, count, seen = b"HTTP/1.1 200 ", 0, b""
        while count < 5_000:
            seen += client.recv(1_000_000)
            count += seen.count(status)
            seen = seen[seen.rfind(status) + 1:]  # which may be cut at the end
        sending.join(WAIT)


def test_late_input(start, steps):
    """Bytes that come after the last request do not cost the client the last answer."""
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
    """A client that asks first is told to go on, or why not."""
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
    (b"nonsense\r\n\r\n", 400), (b"\x16\x03\x01", 400),
    (PING.replace(b"Host:", b"Host :"), 400),
    (PING.replace(b"\r\nHost", b"\nHost"), 400), (b"GET / HTTP/1.1\r\n\r\n", 400),
    (get("/", Content_Length="1, 2"), 400),
    (get("/", Content_Length=1, Transfer_Encoding="chunked"), 400),
    (get("/", Transfer_Encoding="chunked"), 411), (get("/", Transfer_Encoding="gzip"), 501),
    (get("/", Content_Length=31), 413), (get("/" + 50 * "a"), 414),
    (get("/", X=900 * "a"), 431), (get("/", A=1, B=2, C=3), 431)])
def test_refused(data, status):
    """A malformed request, or one over a limit, is refused, and the connection ends."""
    with serving(max_body=30, max_url=50, max_head=500, max_headers=3) as server:
        assert refused(server, data) == status
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")


def test_answer_to_who_still_sends():
    """A client that sends too much before it reads still gets the refusal."""
    data = b"POST /v1/x/y HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000001\r\n\r\n"
    with serving() as server, connected(server) as client:
        client.sendall(data + bytes(20_000_000))
        assert rest(client).startswith(b"HTTP/1.1 413 ")


def test_slow_clients(job):
    """A client that sends too slowly is told so; others are served meanwhile."""
    begun = [b"GET / HT", b"", get("/", Content_Length=5) + b"ab"] * 30
    with serving(job, request_time=0.3, idle_time=0.3) as server, \
            contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(server, data)) for data in begun]
        with connected(server) as other:
            assert ask(other, get(f"/v1/jobs/{job.id}"))[0] == 200
        for client, data in zip(clients, begun):
            assert rest(client)[:13] == (b"HTTP/1.1 408 " if data else b"")


def test_idle_connection():
    """An idle connection is closed after the idle time."""
    with serving(idle_time=0.05) as server, connected(server) as client:
        assert ask(client, PING)[0] == 200
        assert client.recv(1) == b""


def test_large_answer(start, steps):
    """A large answer goes to a slow reader in parts, and no other client waits for it."""
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
    """A client that never reads its answer is dropped after the idle time."""
    job = start(size=20_000_000)
    steps.step()
    with serving(job, idle_time=0.1) as server, connected(server, get(f"/v1/jobs/{job.id}")):
        wait_until(lambda: server.connections)
        wait_until(lambda: not server.connections)


def test_client_that_never_reads_but_asks(job):
    """Little is buffered of what a client sends while it does not read its answers."""
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
    """A client that resets its connection, at whatever point, leaves nothing behind."""
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
    """A client that has finished sending still gets what it has asked for."""
    with serving(job) as server:
        assert raw(server, get("/v1/jobs") + get(f"/v1/jobs/{job.id}")).count(b"200 OK") == 2


def test_slow_answer(job):
    """An answer that has to wait holds up its own connection only."""
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


@tells_resets
def test_client_that_leaves_a_slow_answer(job):
    """A client that leaves while its answer is being made does no harm."""
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
    """A client may ask to wait for years."""
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
    """A silent stream sends heartbeats, beyond the idle time too."""
    monkeypatch.setattr("longop.web.held.HEARTBEAT", 0.01)
    with serving(job, idle_time=0.05) as server, \
            connected(server, get(f"/v1/jobs/{job.id}/events")) as client:
        seen = b""
        while seen.count(b"\n:\n\n") < 10:
            seen += client.recv(1000)


def test_slow_watcher(start, steps):
    """A slow watcher gets the newest status and no backlog; the function does not wait."""
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


def test_resume_without_cause(start, steps):
    """Connections may be resumed at any moment: nothing is lost, and nothing is sent twice."""
    job = start(size=1_000_000)
    steps.step()
    with serving(job) as server, connected(server) as client, \
            connected(server, get(f"/v1/jobs/{job.id}?since=99&wait=99")) as waiting:
        stop = threading.Event()

        def disturb():
            while not stop.wait(0.0005):
                for connection in [*server.connections]:
                    server.loop.call(connection.resume)

        disturbing = threading.Thread(target=disturb)
        disturbing.start()
        for _ in range(20):
            assert ask(client, PING)[0] == 200
            assert ask(client, get("/v1"))[0] == 200
            assert json.loads(ask(client, get(f"/v1/jobs/{job.id}"))[1])["step"] == 1
        job.cancel()
        assert json.loads(ask(waiting, b"")[1])["state"] in ("cancelling", "cancelled")
        stop.set()
        disturbing.join(WAIT)


def test_resume_after_the_end():
    """A connection that is resumed after it was dropped stays dropped."""
    with serving() as server, connected(server) as client:
        wait_until(lambda: server.connections)
        [connection] = server.connections
        server.loop.call(connection._drop)
        assert client.recv(1) == b""
        for resume in (connection.resume, connection.look, lambda: connection.resume(READ)):
            server.loop.call(resume)
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: not server.connections)


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_error_of_our_own(job, caplog, error):
    """An error of any kind costs one connection, and is logged; the others go on."""
    with serving(job) as server, connected(server) as other:
        assert ask(other, PING)[0] == 200
        answer_live = server.api.answer_live

        def fail(request):
            server.api.answer_live = answer_live
            raise error

        server.api.answer_live = fail
        with connected(server, PING) as client:
            assert rest(client) == b""
        assert ask(other, PING)[0] == 200
    assert "dropped a connection after an error" in caplog.text
    assert error.__name__ in caplog.text


# What other threads do


@contextlib.contextmanager
def busy_starters(server):
    """Keep all threads for starts busy, and leave one start waiting."""
    may, begun = threading.Event(), threading.Semaphore(0)
    answer_now = server.api.answer

    def answer(request):
        if request.starts:
            begun.release()
            assert may.wait(WAIT)
        return answer_now(request)

    server.api.answer = answer
    start = get("/v1/clients/steps", Prefer="respond-async").replace(b"GET", b"POST")
    with contextlib.ExitStack() as stack:
        for _ in range(STARTERS + 1):
            stack.enter_context(connected(server, start))
        for _ in range(STARTERS):
            assert begun.acquire(timeout=WAIT)
        try:
            yield
        finally:
            may.set()


@pytest.mark.parametrize("line", [
    "POST /v1/jobs/{}/cancel", "GET /v1/jobs/{}", "GET /v1/jobs", "GET /v1/jobs/{}/events",
    "POST /v1/clients/cancel_command?commandId={}", "GET /v1/status/ping", "GET /v1",
    "POST /v1/clients/get_command_status?commandId={}", "GET /v1/nothing"])
def test_nothing_but_starts_waits_for_starts(job, line):
    """A cancel, a status, the list of jobs and all the like do not wait for a thread."""
    with serving(job) as server, busy_starters(server):
        data = f"{line.format(job.id)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        with connected(server, data) as client:
            assert client.recv(9) == b"HTTP/1.1 "


LARGE = 300_000


def test_large_result_is_encoded_once(start, steps, monkeypatch):
    """All who watch or poll a large result get one text, which the loop's thread has not made."""
    made = []
    make_now = longop.web.texts._make_large

    def make(status):
        made.append((status.version, threading.current_thread().name))
        return make_now(status)

    monkeypatch.setattr(longop.web.texts, "_make_large", make)
    job = start(size=LARGE)
    steps.step()
    status, stream = get(f"/v1/jobs/{job.id}"), get(f"/v1/jobs/{job.id}/events")
    with serving(job) as server, contextlib.ExitStack() as stack:
        watchers = [stack.enter_context(connected(server, stream)) for _ in range(10)]
        pollers = [stack.enter_context(connected(server)) for _ in range(10)]
        for watcher in watchers:
            assert len(first_event_of(watcher)["result"]) == LARGE
        for poller in pollers:
            shown = json.loads(ask(poller, status)[1])
            assert (len(shown["result"]), shown["elapsed"] > 0) == (LARGE, True)
        assert json.loads(ask(pollers[0], status)[1])["elapsed"] >= shown["elapsed"]
        [(version, name)] = made
        assert version == job.status().version
        assert name.startswith("longop-encoder")


def test_error_while_a_large_result_is_encoded(start, steps, monkeypatch):
    """An error costs the connections that wait for it, and no other one."""

    def fail(status):
        raise MemoryError

    monkeypatch.setattr(longop.web.texts, "_make_large", fail)
    job = start(size=LARGE)
    steps.step()
    with serving(job) as server:
        with connected(server, get(f"/v1/jobs/{job.id}")) as client:
            assert rest(client) == b""
        assert raw(server, PING).startswith(b"HTTP/1.1 200 ")


def upload(size):
    return (f"POST /v1/jobs/x/cancel HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {size}\r\n\r\n").encode()


def test_bodies_in_flight():
    """Over the limit of all bodies a large one is refused, a small one is not."""
    with serving(max_in_flight=200_000) as server:
        with connected(server, upload(150_000)) as first:
            wait_until(lambda: server.api.in_flight._bytes == 150_000)
            with connected(server, upload(100_000)) as second:
                answer = rest(second)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 5\r\n" in answer
            with connected(server, upload(60_000)) as third:
                assert ask(third, bytes(60_000))[0] == 404
            assert ask(first, bytes(150_000))[0] == 404
            assert server.api.in_flight._bytes == 0
            assert ask(first, upload(190_000) + bytes(190_000))[0] == 404
        with connected(server, upload(150_000) + b"a part"):
            wait_until(lambda: server.api.in_flight._bytes == 150_000)
        wait_until(lambda: server.api.in_flight._bytes == 0)
def test_client_that_leaves_a_held_answer(job):
    """The answer is closed when its client leaves, and may clean up."""
    closed = threading.Event()

    def held():
        try:
            yield Response(200, None, "text/event-stream")
            while True:
                yield 100.0
        finally:
            closed.set()

    items = held()
    with serving(job) as server:
        server.api.answer = lambda request: Held(job, items)
        with connected(server, PING) as client:
            assert client.recv(100)
        assert closed.wait(WAIT)
