"""The protocol over two pipes, in this process."""

import contextlib
import json
import os
import threading

import pytest

from longop import LongOperation, State
from longop.mcp.server import Pending, Server
from longop.mcp.stdio import Stdio, lines_of, _wait

from ..waiting import WAIT, end_of, wait_until
from .rpc import body, legacy, modern

MAX_LINE = 2_000


class Client:
    """The other end of the pipes."""

    def __init__(self, server):
        source, self.to_server = os.pipe()
        self.from_server, sink = os.pipe()
        self.messages = os.fdopen(self.from_server, "rb")
        self.source, self.sink = source, os.fdopen(sink, "wb")
        stdio = Stdio(server, source, self.sink, MAX_LINE, 20)
        self.thread = threading.Thread(target=stdio.serve)
        self.thread.start()

    def send(self, *messages):
        for message in messages:
            os.write(self.to_server, json.dumps(message).encode() + b"\n")

    def tell(self, method, **params):
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def next(self):
        line = self.messages.readline()
        assert line.endswith(b"\n")
        return json.loads(line)

    def ask(self, message):
        self.send(body(message))
        return self.next()

    def hang_up(self):
        os.close(self.to_server)
        self.to_server = None

    def close(self):
        if self.to_server is not None:
            self.hang_up()
        self.thread.join(WAIT)
        assert not self.thread.is_alive()
        wait_until(lambda: "Thread" not in {type(t).__name__ for t in reading()})
        os.close(self.source)
        self.messages.close()
        with contextlib.suppress(OSError):  # a broken pipe, which Windows calls invalid
            self.sink.close()


def reading():
    """Return the threads that read lines."""
    return [thread for thread in threading.enumerate() if "_read" in thread.name]


@pytest.fixture
def operation(gate):
    def work(callback, n: int = 1):
        callback("begun", 0, n)
        while not gate.is_set():
            callback.wait(0.005)
            callback.check()
        return {"n": n}

    return LongOperation(work, limit=9)


@pytest.fixture
def client(operation):
    client = Client(Server([operation]))
    yield client
    client.close()


def job_of(operation):
    [job] = wait_until(lambda: list(operation.live.values()))
    return job


def test_both_eras(client):
    """A client of either era is answered; one may follow the other."""
    assert client.ask(legacy("initialize", protocolVersion="2025-06-18"))["id"] == 1
    client.tell("notifications/initialized")
    assert client.ask(modern("server/discover", "a"))["id"] == "a"
    assert "ttlMs" not in client.ask(legacy("tools/list"))["result"]
    assert "ttlMs" in client.ask(modern("tools/list"))["result"]


def test_a_discovery_without_meta(client):
    """A client that asks for the era is told what is missing in words of the new one."""
    assert client.ask(legacy("server/discover"))["error"]["code"] == -32602


def test_a_call(client, gate):
    """A call sends its progress, and then its answer."""
    client.send(body(legacy("tools/call", 5, token="t", name="work")))
    assert client.next()["params"] == {"progressToken": "t", "progress": 0, "total": 1,
                                       "message": "begun"}
    gate.set()
    assert client.next()["result"]["structuredContent"] == {"n": 1}


@pytest.mark.parametrize("ask_as", [modern, legacy])
def test_a_cancel(client, operation, ask_as):
    """A cancel stops the code, and nothing more is sent for the call."""
    client.send(body(ask_as("tools/call", 5, name="work")))
    job = job_of(operation)
    client.tell("notifications/cancelled", requestId=5)
    assert end_of(job).state is State.CANCELLED
    assert client.ask(legacy("ping", 6))["id"] == 6


def test_a_cancel_in_the_next_line(client, operation):
    """A cancel that comes right after its call finds it, whether the job has started or not."""
    for id in range(20):
        client.send(body(modern("tools/call", id, name="work")),
                    {"jsonrpc": "2.0", "method": "notifications/cancelled",
                     "params": {"requestId": id}})
    assert client.ask(legacy("ping", "p"))["id"] == "p"
    # A call that was cancelled before it had a job may still start one.
    wait_until(lambda: len(operation.jobs()) == 20)
    wait_until(lambda: not operation.live)
    assert {status.state for status in operation.jobs()} == {State.CANCELLED}


def test_a_cancel_after_the_answer(client, gate):
    """A late cancel, and one of nothing, is ignored."""
    gate.set()
    assert client.ask(modern("tools/call", 5, name="work"))["id"] == 5
    for id in (5, 6, None, [], "x"):
        client.tell("notifications/cancelled", requestId=id)
    client.tell("notifications/cancelled")
    client.tell("notifications/nonsense")
    assert client.ask(legacy("ping", 7))["id"] == 7


def test_an_id_twice(client, operation, gate):
    """A second call with the same id is refused, and the first one goes on."""
    client.send(body(modern("tools/call", 5, name="work")))
    job_of(operation)
    refused = client.ask(modern("tools/call", 5, name="work"))
    assert (refused["id"], refused["error"]["code"]) == (5, -32600)
    gate.set()
    assert client.next()["result"]["isError"] is False


@pytest.mark.parametrize(("line", "id", "code"), [
    (b"nonsense", None, -32700), (b"[]", None, -32600), (b"\xff\xfe", None, -32700),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', None, -32600),
    (b"[" * 1500, None, -32700), (b"{}", None, -32600),
    (b'{"jsonrpc":"2.0","id":3,"method":"x"}', 3, -32601),
    (b'{"jsonrpc":"2.0","id":3,"method":"ping","params":[]}', 3, -32602)])
def test_bad_lines(client, line, id, code):
    """A line that is no message is answered with an error, and the next one is served."""
    os.write(client.to_server, line + b"\n")
    answer = client.next()
    assert (answer["id"], answer["error"]["code"]) == (id, code)
    assert client.ask(legacy("ping"))["result"] == {}


def test_lines_that_are_nothing(client):
    """Empty lines, responses, and ends as Windows writes them, do no harm."""
    os.write(client.to_server, b'\n\r\n  \n{"jsonrpc":"2.0","id":1,"result":{}}\n')
    os.write(client.to_server, b'{"jsonrpc":"2.0","id":1,"method":"ping"}\r\n')
    assert client.next()["result"] == {}


def test_a_long_line(client):
    """A line over the limit is refused, and not kept; the next one is served."""
    for _ in range(50):
        os.write(client.to_server, b"x" * 60_000)
    os.write(client.to_server, b"\n")
    assert "longer" in client.next()["error"]["message"]
    assert client.ask(legacy("ping"))["result"] == {}


def test_a_call_that_cannot_be(client):
    """An error of the protocol has the id of its call."""
    answer = client.ask(modern("tools/call", 5, name="nope"))
    assert (answer["id"], answer["error"]["code"]) == (5, -32602)


def test_the_end_in_the_middle_of_a_line(client):
    """The end of the input is the end, also in the middle of a line."""
    os.write(client.to_server, b'{"jsonrpc":"2.0","id":1,"meth')
    client.hang_up()
    assert client.next()["error"]["code"] == -32700
    client.thread.join(WAIT)
    assert not client.thread.is_alive()


def test_nothing_is_sent_after_the_end(client, operation, gate):
    """After the end of the input nothing is sent: some clients take that for an error."""
    client.send(body(modern("tools/call", "last", name="work")))
    job = job_of(operation)
    client.hang_up()
    client.thread.join(WAIT)
    gate.set()
    end_of(job)
    wait_until(lambda: "longop-mcp-last" not in [t.name for t in threading.enumerate()])
    client.sink.close()
    assert client.messages.read() == b""


def test_a_client_that_reads_no_more(operation, gate):
    """When nobody reads the answers, that is the end, too."""
    client = Client(Server([operation]))
    client.messages.close()
    client.send(body(legacy("ping")))
    client.thread.join(WAIT)
    assert not client.thread.is_alive()
    client.close()


def test_what_follows_a_job_is_closed():
    """Whoever stops reading what is said about a job ends what finds it, too."""
    def items():
        try:
            yield {"n": 1}
        finally:
            closed.append(True)

    closed = []
    pending = Pending(LongOperation(lambda: None).start(), items())
    said = _wait(pending)
    assert next(said) == {"n": 1}
    said.close()
    assert closed == [True]


def test_an_input_that_cannot_be_read(operation, caplog):
    """An error while reading ends it, and is logged."""
    closed, other = os.pipe()
    os.close(other)
    os.close(closed)
    with open(os.devnull, "wb") as sink:
        Stdio(Server([operation]), closed, sink, 9, 9).serve()
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("size", [10_000, 100_000, 1_000_000])
def test_what_is_kept_of_a_long_line(size, monkeypatch):
    """Of a line without an end, the limit and no more is kept, whatever its length."""
    chunks = [b"x" * 1_000] * (size // 1_000) + [b"\nnext\n", b""]
    monkeypatch.setattr(os, "read", lambda source, most: chunks.pop(0))
    assert [len(line) for line in lines_of(0, 5_000)] == [5_001, 4, 0]
