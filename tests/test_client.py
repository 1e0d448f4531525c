"""`longop.client`: the operations of a server, from another Python."""

import contextlib
import json
import socket
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import longop
from longop import State, client
from longop.errors import RequestError
from longop.serve.server import Server
from longop.web.api import Api
from longop.web.gate import Gate
from longop.web.problem import problem
from longop.web.wire import Response

from .waiting import WAIT, wait_until


class Steps:
    """A function that makes a step whenever it is let, and counts its calls."""

    __name__ = "steps"

    def __init__(self):
        self.calls, self.may = 0, threading.Semaphore(0)

    def let(self, steps):
        for _ in range(steps):
            self.may.release()

    def __call__(self, callback, n: int = 3, data: bytes = b""):
        self.calls += 1
        for step in range(1, n + 1):
            while not self.may.acquire(timeout=0.01):
                callback.check()
            callback(f"step {step}", step, n)
        return {"bytes": len(data), "n": n}


def fails(callback):
    raise ValueError("no good")


@contextlib.contextmanager
def serving(operations, port=0, **gate):
    server = Server("127.0.0.1", port)
    server.api = Api(operations, gate=Gate(**gate))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        for connection in [*server.connections]:  # as if it was killed
            server.loop.call(connection._drop)
        server.close()
        thread.join(WAIT)


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def operations(steps, make):
    return [make(steps, "thread"), make(fails, "thread")]


def test_whole_life(steps, operations):
    """A job there is started, watched, and gives its result, as a job here."""
    with serving(operations) as server:
        there = client.connect(server.url)
        assert [one.name for one in there.operations] == ["steps", "fails"]
        job = there.steps.start(n=2, data=b"\0\xff")
        seen = []
        for status in job.updates():
            seen.append((status.state, status.step))
            steps.may.release()
        assert seen[-1] == (State.COMPLETED, 2)
        assert job.result(WAIT) == {"bytes": 2, "n": 2}
        assert job.status().state is State.COMPLETED
        assert there.job(job.id).status() == job.status()
        assert job.cancel() is False
        steps.let(5)
        assert there.steps(n=1) == {"bytes": 0, "n": 1}


def test_cancel(operations):
    """A cancel there is a cancel."""
    with serving(operations) as server:
        job = client.connect(server.url).steps.start()
        assert job.cancel() is True
        assert [status.state for status in job.updates()][-1] is State.CANCELLED
        with pytest.raises(futures.CancelledError):
            job.result(WAIT)
        assert job.cancel() is False


def test_cancel_of_an_unknown_job(operations):
    """A cancel of a job that is not there is an error."""
    with serving(operations) as server, pytest.raises(longop.UnknownJob):
        client.connect(server.url).job("x").cancel()


def test_errors(operations):
    """An error of the server is raised here, by the same name."""
    with serving(operations) as server:
        there = client.connect(server.url)
        with pytest.raises(longop.LongOperationError, match="ValueError: no good"):
            there.fails()
        with pytest.raises(longop.BadParameters) as caught:
            there.steps.start(n="many", m=1)
        assert set(caught.value.errors) == {"m"}
        with pytest.raises(longop.UnknownJob, match="there is no job x"):
            there.job("x").status()
        with pytest.raises(longop.UnknownJob):
            next(there.job("x").updates())
        with pytest.raises(AttributeError, match="no operation 'other'; it has steps, fails"):
            _ = there.other
        with pytest.raises(futures.TimeoutError):
            there.steps.start().result(0.05)


def test_no_server():
    """If there is no server, that is an error at once."""
    with serving([]) as server:
        url = server.url
    with pytest.raises(OSError, match="refused"):
        client.connect(url)


def test_token(operations):
    """The token may be given, or be in the address; without it nobody comes in."""
    with serving(operations, token="a b") as server:
        with pytest.raises(longop.LongOperationError, match="a token is needed") as caught:
            client.connect(server.url)
        assert caught.value.status == 401
        assert client.connect(server.url, "a b").operations
        assert client.connect(f"{server.url}?token=a%20b").operations


def test_dropped_stream(steps, operations):
    """A stream that breaks goes on where it was."""
    with serving(operations) as server:
        job = client.connect(server.url).steps.start(n=3)
        versions = []
        for status in job.updates():
            versions.append(status.version)
            for connection in [*server.connections]:
                server.loop.call(connection._drop)
            steps.may.release()
        assert versions == sorted(set(versions))
        assert status.state is State.COMPLETED


def test_restarted_server(steps, operations):
    """A restart of the server goes unnoticed, and nothing starts twice."""
    with serving(operations) as server:
        there = client.connect(server.url)
        port = int(server.url.rpartition(":")[2][:-1])
    started = futures.ThreadPoolExecutor(1).submit(there.steps.start, n=2)
    with serving(operations, port):
        job = started.result(WAIT)
        updates = job.updates()
        next(updates)
    steps.let(2)
    with serving(operations, port):
        *_, last = updates
        assert last.state is State.COMPLETED
    assert steps.calls == 1


def test_version_that_comes_twice(steps, operations):
    """A job that another server began again may end with the version that was seen last."""
    with serving(operations) as server:
        job = client.connect(server.url).steps.start(n=0)
        wait_until(lambda: job.status().state.is_terminal)
        shown = dict(vars(job.status()), state="running")
        answer, others = server.api.answer, []

        def other(request):
            if others:
                return answer(request)
            others.append(request)
            event = f"data: {json.dumps(shown)}\n\n".encode()
            return Response(200, event, "text/event-stream")

        server.api.answer = other
        assert [status.state.value for status in job.updates()] == ["running", "completed"]


def test_lost_answer(steps, operations):
    """A start of which the answer was lost is tried again, and is one start."""
    with serving(operations) as server:
        there = client.connect(server.url)
        answer, lost = server.api.answer, []

        def lose(request):
            made = answer(request)
            if request.method == "POST" and not lost:
                lost.append(made)
                for connection in [*server.connections]:
                    server.loop.call(connection._drop)
            return made

        server.api.answer = lose
        job = there.steps.start(n=1)
        steps.may.release()
        assert job.result(WAIT)["n"] == 1
        assert lost
        assert steps.calls == 1


class Cut(Response):
    def parts(self, *args):
        return [b"".join(super().parts(*args))[:-20]]


@pytest.mark.parametrize("cut", [
    Cut(200, b"{}" + b" " * 100), Response(200, b'data: {"id": "x', "text/event-stream"),
    Cut(200, b":" * 100, "text/event-stream")])
def test_cut_answer(steps, operations, cut):
    """An answer that is cut off is requested again."""
    with serving(operations) as server:
        job = client.connect(server.url).steps.start(n=0)
        answer, cuts = server.api.answer, [cut]
        server.api.answer = lambda request: cuts.pop() if cuts else answer(request)
        server.api.answer_live = lambda request: None  # so that the above answers all
        if cut.content_type == "application/json":
            assert job.result(WAIT) == {"bytes": 0, "n": 0}
        else:
            assert [*job.updates()][-1].state is State.COMPLETED
        assert not cuts


@pytest.mark.parametrize("body", [b"", b"[]", b'"no"', b'{"detail": "it is another server"}'])
def test_error_of_another_server(operations, body):
    """An error that is not longop's is raised too."""
    with serving(operations) as server:
        there = client.connect(server.url)
        server.api.answer = lambda request: Response(404, body)
        with pytest.raises(longop.LongOperationError) as caught:
            there.job("x").status()
        assert caught.value.status == 404


def test_no_http():
    """A server that does not speak HTTP is an error."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def answer():
            with listener.accept()[0] as one:
                one.sendall(b"220 smtp.example\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(OSError, match="no answer from http://127"):
            client.connect(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join(WAIT)


@pytest.mark.parametrize("error", [
    longop.BadParameters({"n": "must be a number", "m": "is unknown"}),
    longop.Busy("one runs", "0123"), longop.Busy("many wait", "0123", retry_after=5),
    longop.Busy("it is closed", ""), longop.UnknownJob("there is no job x"),
    longop.ForgottenJob("it is not kept"), longop.KeyReused("other parameters"),
    longop.TargetError("cannot be imported"), longop.DeadlineExceeded("over 3 s"),
    longop.WorkerLost("killed"), longop.HistoryError("the disk is full"),
    longop.LongOperationError("something"), RequestError(415, "send JSON")],
    ids=lambda error: f"{type(error).__name__} {error}")
def test_each_error(operations, error):
    """Each error of a server arrives as what it was: its kind, text, status and attributes."""
    with serving(operations) as server:
        there = client.connect(server.url)
        server.api.answer = lambda request: problem(error)
        with pytest.raises(longop.LongOperationError) as caught:
            there.steps.start()
    raised = caught.value
    assert type(raised) is type(error)
    assert str(raised) == str(error)
    assert {**vars(raised), "status": raised.status} == {**vars(error), "status": error.status}


def test_busy(make, steps):
    """A start that is rejected, or for which the queue is full, names a job that is alive."""
    rejecting = make(steps, "thread", when_busy="reject", name="rejecting")
    queueing = make(steps, "thread", max_queued=0, name="queueing")
    with serving([rejecting, queueing]) as server:
        there = client.connect(server.url)
        for operation, status in (there.rejecting, 409), (there.queueing, 429):
            job = operation.start()
            with pytest.raises(longop.Busy) as caught:
                operation.start()
            assert (caught.value.job_id, caught.value.status) == (job.id, status)
        assert caught.value.headers == {"Retry-After": "5"}


@pytest.mark.parametrize("body", [
    b'{"type": "/x/BadParameters", "detail": "no errors"}', b'{"type": 1, "detail": null}',
    b'{"type": "/x/BadParameters", "errors": [1]}', b'{"type": "/x/Busy", "detail": "b"}',
    b'{"type": "/x/SystemExit", "detail": "x"}', b"\xff", b"[[[[" * 10_000])
def test_odd_error(operations, body):
    """An error with less to it than it should have, or with more, is an error all the same."""
    with serving(operations) as server:
        there = client.connect(server.url)
        server.api.answer = lambda request: Response(409, body)
        with pytest.raises(longop.LongOperationError) as caught:
            there.steps.start()
        assert caught.value.status == 409


def test_newer_server(steps, operations):
    """What a newer server tells of a job beyond what this client knows is left out."""
    with serving(operations) as server:
        job = client.connect(server.url).steps.start(n=0)
        wait_until(lambda: job.status().state.is_terminal)
        shown = json.dumps({**vars(job.status()), "mood": "fine"}).encode()
        server.api.answer = lambda request: Response(200, shown)
        assert job.status().state is State.COMPLETED
        assert not hasattr(job.status(), "mood")


def test_no_such_operation_in_a_copy(operations):
    """A server object without operations, as copying makes one, does not hang."""
    empty = client.RemoteServer.__new__(client.RemoteServer)
    with pytest.raises(AttributeError):
        _ = empty.steps


def test_names(operations):
    """An operation can be named with its module where two have the same name."""
    with serving(operations) as server:
        there = client.connect(server.url)
        name = f"{there.operations[0].module}/steps"
        assert getattr(there, name) is there.operations[0]


# What a server may do to the client


@contextlib.contextmanager
def scripted(answer):
    """Run a server that calls ``answer(handler)`` for each request; yield its address."""
    class Scripted(BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(ConnectionError):
                answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(WAIT)


def send(handler, code, body=b"", **headers):
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def test_no_token_to_another_origin(operations):
    """A redirect to another origin is followed without the token, one to the same with it."""
    seen = []

    def take(handler):
        seen.append(handler.headers["Authorization"])
        send(handler, 200, b'{"operations": []}')

    with scripted(take) as other:
        def lead(handler):
            if handler.path == "/v1":
                send(handler, 302, Location="/here")
            else:
                seen.append(handler.headers["Authorization"])
                send(handler, 302, Location=f"{other}/there")

        with scripted(lead) as url:
            assert client.connect(url, "secret").operations == []
    assert seen == ["Bearer secret", None]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_start_is_not_redirected(steps, operations, code):
    """A start that is redirected is an error that names the other address, and no GET."""
    with serving(operations) as server:
        there = client.connect(server.url)
        answer = Response(code, headers={"Location": "https://other.example/v1"})
        server.api.answer = lambda request: answer
        with pytest.raises(longop.LongOperationError,
                           match=r"redirects to https://other\.example/v1: use that address"):
            there.steps.start()
    assert steps.calls == 0


@pytest.mark.parametrize("length", [{}, {"Content_Length": str(10**12)}])
def test_an_answer_without_end(monkeypatch, length):
    """Of an answer that is too large no more is read than the limit and one piece."""
    monkeypatch.setattr(client, "MAX_ANSWER", 1_000_000)
    sent = []

    def flood(handler):
        send(handler, 200, **length)
        while True:
            sent.append(handler.wfile.write(bytes(100_000)))

    with scripted(flood) as url, pytest.raises(longop.LongOperationError,
                                               match="larger than 1,000,000 bytes"):
        client.connect(url)
    assert sum(sent) < 20_000_000  # what the sockets hold beside it


def test_a_line_without_end(steps, operations, monkeypatch):
    """A line of a stream that is too long is an error, too."""
    monkeypatch.setattr(client, "MAX_ANSWER", 10_000)
    with serving(operations) as server:
        job = client.connect(server.url).steps.start(n=0)
        server.api.answer = lambda request: Response(200, b"data: " + bytes(20_000),
                                                     "text/event-stream")
        server.api.answer_live = lambda request: None
        with pytest.raises(longop.LongOperationError, match="larger than 10,000 bytes"):
            next(job.updates())


@pytest.mark.parametrize("answer", [
    b"[]", b"null", b'"text"', b"not JSON", b"\xff", b'{"operations": 1}',
    b'{"operations": [1]}', b'{"operations": [{"name": "x"}]}'])
def test_it_is_another_program(answer):
    """An address where another program answers is a clear error."""
    with scripted(lambda handler: send(handler, 200, answer)) as url, pytest.raises(
            longop.LongOperationError, match=f"the answer of {url}/v1 is not what longop "):
        client.connect(url)


@pytest.mark.parametrize("gone", ["id", "state", "version"])
def test_a_status_with_a_field_missing(steps, operations, gone):
    """A status without what every status has is an error that names what is missing."""
    with serving(operations) as server:
        job = client.connect(server.url).steps.start(n=0)
        wait_until(lambda: job.status().state.is_terminal)
        shown = dict(vars(job.status()))
        del shown[gone]
        server.api.answer = lambda request: Response(200, json.dumps(shown).encode())
        with pytest.raises(longop.LongOperationError, match=f"it has no '{gone}'"):
            job.status()


@pytest.mark.parametrize("change", [{"state": "asleep"}, {"state": []}, {"version": "x"}])
def test_a_status_of_another_kind(steps, operations, change):
    """A status whose state or version this client does not know is a clear error."""
    with serving(operations) as server:
        job = client.connect(server.url).steps.start(n=0)
        wait_until(lambda: job.status().state.is_terminal)
        shown = {**vars(job.status()), **change}
        server.api.answer = lambda request: Response(200, json.dumps(shown).encode())
        with pytest.raises(longop.LongOperationError,
                           match="a status of the server is not what longop"):
            job.status()


def test_an_error_that_is_tried_again_is_closed(monkeypatch):
    """Each answer of a proxy whose server is away is closed, and so is its connection."""
    answers = []
    one = client.HTTPError

    class Noted(one):
        def __init__(self, *args):
            super().__init__(*args)
            answers.append(self)

    monkeypatch.setattr("urllib.request.HTTPError", Noted)
    codes = [502, 503, 504]

    def recover(handler):
        code = codes.pop(0) if codes and handler.path != "/v1" else 200
        send(handler, code, b'{"operations": []}')

    with scripted(recover) as url:
        client.connect(url).ask("/v1/jobs")
    assert [error.code for error in answers] == [502, 503, 504]
    assert all(error.fp.closed for error in answers)


def test_the_path_of_an_address(operations):
    """A server behind a path is asked below that path."""
    asked = []

    def note(handler):
        asked.append(handler.path)
        send(handler, 200, b'{"operations": []}')

    with scripted(note) as url:
        for address in url, f"{url}/", f"{url}/a/jobs", f"{url}/a/jobs/?token=x#id":
            client.connect(address)
    assert asked == ["/v1", "/v1", "/a/jobs/v1", "/a/jobs/v1"]
