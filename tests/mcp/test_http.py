"""``POST /mcp`` at the three HTTP doors."""

import base64
import contextlib
import http.client
import json
import socket
import threading
import types
import wsgiref.simple_server
from http.server import ThreadingHTTPServer

import pytest

import longop
from longop import LongOperation, State
from longop.mcp import http as mcp_http
from longop.mcp.calls import Call
from longop.mcp.eras import Peer
from longop.mcp.server import Pending
from longop.web.api import Api
from longop.web.gate import Gate

from ..waiting import WAIT, end_of, wait_until
from ..web import doors
from .rpc import META, body, legacy, modern

SITE = "https://site.example"


class Work:
    """An operation whose jobs report and end when they are let."""

    def __init__(self):
        self.gate = threading.Event()
        self.report = threading.Semaphore(0)
        self.operation = LongOperation(self.work, callback="callback", limit=9)

    def work(self, callback, n: int = 1):
        """Work until the gate opens."""
        step = 0
        while not self.gate.is_set():
            if self.report.acquire(timeout=0.005):
                callback(f"at {step}", step)
                step += 1
            callback.check()
        return {"n": n}

    @property
    def jobs(self):
        return list(self.operation.live.values())


@pytest.fixture
def work():
    work = Work()
    yield work
    work.gate.set()


@contextlib.contextmanager
def handler(*operations, **options):
    handler_class = longop.handler(*operations, **options)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_class) as server, doors.running(
            lambda: server.serve_forever(0.01), server.shutdown):
        yield server.server_address


@contextlib.contextmanager
def wsgi(*operations, **options):
    with wsgiref.simple_server.make_server(
            "127.0.0.1", 0, longop.wsgi(*operations, **options), doors._ThreadingServer,
            doors._QuietHandler) as server, doors.running(
            lambda: server.serve_forever(0.01), server.shutdown):
        yield server.server_address


@contextlib.contextmanager
def serve(*operations, **options):
    server_module = pytest.importorskip("longop.serve.server")
    server = server_module.Server("127.0.0.1", 0)
    server.api = Api(operations, **options)
    with doors.running(server.serve, server.close):
        yield server._listener.getsockname()


@pytest.fixture(params=[handler, wsgi, serve], ids=["handler", "wsgi", "serve"])
def door(request):
    return request.param


@pytest.fixture
def address(door, work):
    with door(work.operation) as address:
        yield address


def headers_of(message, **changes):
    """Return the headers of a modern request; None leaves one out."""
    found = {"Content-Type": "application/json",
             "Accept": "application/json, text/event-stream"}
    if f"{META}protocolVersion" in (message.meta or {}):
        found["MCP-Protocol-Version"] = message.meta[f"{META}protocolVersion"]
        found["Mcp-Method"] = message.method
        name = message.params.get("name") or message.params.get("taskId")
        if name:
            found["Mcp-Name"] = name
    found.update({name.replace("_", "-"): value for name, value in changes.items()})
    return {name: value for name, value in found.items() if value is not None}


@contextlib.contextmanager
def posted(address, content, headers, path="/mcp"):
    """Send a request; yield the response."""
    connection = http.client.HTTPConnection(*address[:2], timeout=WAIT)
    try:
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        connection.request("POST", path, content, headers)
        with connection.getresponse() as response:  # which has the socket from now on
            yield response
    finally:
        connection.close()


def post(address, message, path="/mcp", **changes):
    """Send a message; return the status and what came, as messages."""
    with posted(address, body(message), headers_of(message, **changes), path) as response:
        return response.status, messages_of(response)


def messages_of(response):
    text = response.read()
    if response.headers["Content-Type"] != "text/event-stream":
        return [json.loads(text)] if text else []
    lines = text.decode().splitlines()
    return [json.loads(line[len("data: "):]) for line in lines if line.startswith("data: ")]


def error_of(answer, status=400):
    assert answer[0] == status, answer
    [message] = answer[1]
    return message["error"]["code"]


# Answers


def test_a_list(address):
    """Both eras are served at one path; an older request needs no header."""
    status, [answer] = post(address, modern("tools/list", "a"))
    assert (status, answer["id"]) == (200, "a")
    assert answer["result"]["tools"][0]["name"] == "work"
    status, [answer] = post(address, legacy("tools/list"))
    assert set(answer["result"]) == {"tools"}


def test_a_quick_call(address, work):
    """A call that ends soon is answered with JSON."""
    work.gate.set()
    message = modern("tools/call", name="work", arguments={"n": 3})
    with posted(address, body(message), headers_of(message)) as response:
        assert response.headers["Content-Type"] == "application/json"
        [answer] = messages_of(response)
    assert answer["result"]["structuredContent"] == {"n": 3}


def test_progress_is_a_stream(address, work):
    """A report turns the answer into a stream, which ends with the result."""
    message = modern("tools/call", token="t", name="work")
    threading.Timer(0.05, work.report.release).start()
    with posted(address, body(message), headers_of(message)) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.readline() == b"event: message\n"
        assert json.loads(response.readline()[5:])["params"]["progress"] == 0
        work.gate.set()
        answer = messages_of(response)[-1]
    assert answer["result"]["structuredContent"] == {"n": 1}


def test_signs_of_life(monkeypatch):
    """Looks at a job that has nothing to say send nothing, but for one sign in each second."""
    now = [0.0]
    monkeypatch.setattr(mcp_http, "time", types.SimpleNamespace(monotonic=lambda: now[0]))

    def nothing_to_say():
        yield {"method": "notifications/progress"}
        while True:
            yield 60.0

    stream = mcp_http._stream(Pending(None, nothing_to_say()), Peer("2025-11-25"), Call(), True)
    assert [type(next(stream)).__name__ for _ in range(2)] == ["Response", "bytes"]
    for _ in range(3):
        for _ in range(9):
            assert next(stream) == mcp_http.HEARTBEAT
        now[0] += mcp_http.HEARTBEAT
        assert next(stream) == b":\n\n"
    stream.close()


def test_a_client_that_takes_no_stream(address, work):
    """Without a word of streams in its Accept header a client gets JSON, at the end."""
    message = modern("tools/call", token="t", name="work")
    work.report.release()
    threading.Timer(0.05, work.gate.set).start()
    status, [answer] = post(address, message, Accept="application/json")
    assert (status, answer["id"]) == (200, 1)


def test_a_long_silence_is_a_stream(address, work, monkeypatch):
    """A call that takes its time is a stream, with signs of life."""
    monkeypatch.setattr(mcp_http, "HEARTBEAT", 0.01)
    message = modern("tools/call", name="work")
    with posted(address, body(message), headers_of(message)) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.readline() == b":\n"
        work.gate.set()
        assert messages_of(response)[-1]["id"] == 1


def test_a_task(address, work, monkeypatch):
    """A call becomes a task, which is asked for, and cancelled, by its id."""
    message = modern("tools/call", tasks=True, name="work")
    status, [answer] = post(address, message)  # after a second
    assert (status, answer["result"]["resultType"]) == (200, "task")
    id = answer["result"]["taskId"]
    assert [job.id for job in work.jobs] == [id]
    for name in ({}, {"Mcp_Name": None}):  # some clients do not send it
        _, [found] = post(address, modern("tasks/get", 2, True, taskId=id), **name)
        assert found["result"]["status"] == "working"
    wrong = post(address, modern("tasks/get", 2, True, taskId=id), Mcp_Name="other")
    assert error_of(wrong) == -32020
    post(address, modern("tasks/cancel", 3, True, taskId=id))
    wait_until(lambda: not work.jobs)
    _, [found] = post(address, modern("tasks/get", 4, True, taskId=id))
    assert found["result"]["status"] == "cancelled"


def test_as_jobs(address, work):
    """A client without tasks finds the jobs as tools at `?as=jobs`."""
    _, [answer] = post(address, legacy("tools/list"), path="/mcp?as=jobs")
    assert [tool["name"] for tool in answer["result"]["tools"]] == [
        "start_work", "status_work", "cancel_work"]


# Cancels


def test_a_closed_stream_cancels(address, work, monkeypatch):
    """The code stops when a client of 2026-07-28 closes the stream of its call."""
    monkeypatch.setattr(mcp_http, "HEARTBEAT", 0.01)
    message = modern("tools/call", token=1, name="work")
    work.report.release()
    with posted(address, body(message), headers_of(message)) as response:
        response.readline()
        [job] = work.jobs
    assert end_of(job).state is State.CANCELLED


def test_a_client_that_leaves_before_the_answer(address, work, monkeypatch):
    """The code stops, too, when the client leaves before anything was sent."""
    monkeypatch.setattr(mcp_http, "HEARTBEAT", 0.01)
    message = modern("tools/call", name="work")
    content = json.dumps(body(message)).encode()
    lines = ["POST /mcp HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers_of(message).items()]
    with socket.create_connection(address[:2], WAIT) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        [job] = wait_until(lambda: work.jobs)
    assert end_of(job).state is State.CANCELLED


def test_a_task_survives_its_client(address, work):
    """What has become a task goes on without its client."""
    post(address, modern("tools/call", tasks=True, name="work"))
    [job] = work.jobs
    assert not job.is_stopping


def begin_session(address):
    message = legacy("initialize", protocolVersion="2025-11-25")
    with posted(address, body(message), headers_of(message)) as response:
        assert messages_of(response)[0]["result"]["protocolVersion"] == "2025-11-25"
        return response.headers["Mcp-Session-Id"]


def test_a_cancel_in_another_request(address, work):
    """An older client cancels by the id of its call, which is known by its session."""
    session = begin_session(address)
    assert session != begin_session(address)
    found = []
    calling = threading.Thread(target=lambda: found.append(post(
        address, legacy("tools/call", 7, name="work"), Mcp_Session_Id=session,
        MCP_Protocol_Version="2025-11-25")))
    calling.start()
    [job] = wait_until(lambda: work.jobs)
    for other, id in (("other", 7), (session, 8), (None, 7)):
        cancel(address, other, id)
        assert not job.is_stopping
    cancel(address, session, 7)
    assert end_of(job).state is State.CANCELLED
    calling.join(WAIT)
    assert found == [(200, [])]  # nothing is said to who wants no answer


def cancel(address, session, id):
    message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}
    headers = {"Content-Type": "application/json"}
    if session:
        headers["Mcp-Session-Id"] = session
    with posted(address, message, headers) as response:
        assert (response.status, response.read()) == (202, b"")


def test_a_closed_stream_of_an_older_client(address, work, monkeypatch):
    """In the older eras a closed stream says nothing: the code goes on."""
    monkeypatch.setattr(mcp_http, "HEARTBEAT", 0.01)
    message = legacy("tools/call", token=1, name="work")
    work.report.release()
    with posted(address, body(message), headers_of(message)) as response:
        response.readline()
        [job] = work.jobs
    work.gate.set()
    assert end_of(job).state is State.COMPLETED


def test_two_clients_may_use_one_id(address, work):
    """Clients of 2026-07-28 do not know each other's ids."""
    calls = [threading.Thread(target=post, args=(address, modern("tools/call", 1, name="work")))
             for _ in range(2)]
    for one in calls:
        one.start()
    wait_until(lambda: len(work.jobs) == 2)
    work.gate.set()
    for one in calls:
        one.join(WAIT)


# Refusals


def test_other_methods(address):
    """There is nothing to GET or to DELETE."""
    for method in ("GET", "DELETE"):
        connection = http.client.HTTPConnection(*address[:2], timeout=WAIT)
        connection.request(method, "/mcp")
        response = connection.getresponse()
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        connection.close()


def test_an_unknown_method(address):
    """An unknown method is 404, and is told before what is wrong with the headers."""
    wrong = post(address, modern("prompts/list"), Mcp_Method=None, MCP_Protocol_Version=None)
    assert error_of(wrong, 404) == -32601
    assert error_of(post(address, legacy("prompts/list")), 200) == -32601


@pytest.mark.parametrize("changes", [
    {"MCP_Protocol_Version": "2025-11-25"}, {"MCP_Protocol_Version": None},
    {"MCP_Protocol_Version": "2026-07-28, 2026-07-28"},
    {"Mcp_Method": "tools/list"}, {"Mcp_Method": None}, {"Mcp_Method": "TOOLS/CALL"},
    {"Mcp_Name": "other"}, {"Mcp_Name": None}, {"Mcp_Name": "WORK"}, {"Mcp_Name": ""},
    {"Mcp_Name": "=?base64?b3RoZXI=?="}, {"Mcp_Name": "=?base64?work?="},
    {"Mcp_Name": "=?base64?/w==?="}, {"Mcp_Name": "=?base64??="},
    {"Mcp_Name": "=?BASE64?d29yaw==?="}])
def test_headers_that_differ(address, work, changes):
    """Headers that do not say what the body says are refused, and nothing is started."""
    assert error_of(post(address, modern("tools/call", name="work"), **changes)) == -32020
    assert work.jobs == []


def test_a_name_in_base64(address, work):
    """A name may be written in base64."""
    work.gate.set()
    encoded = base64.b64encode(b"work").decode()
    message = modern("tools/call", name="work")
    assert post(address, message, Mcp_Name=f"=?base64?{encoded}?=")[0] == 200
    assert post(address, message, Mcp_Name="  work  ")[0] == 200


def test_a_wrong_meta(address):
    """A modern request that lacks a part of its `_meta` is 400."""
    message = modern("tools/list")
    del message.meta[f"{META}clientCapabilities"]
    assert error_of(post(address, message)) == -32602
    wrong = post(address, legacy("tools/list"), MCP_Protocol_Version="2026-07-28")
    assert error_of(wrong) == -32602


def test_another_version(address):
    """A version that is not spoken is 400, with those that are."""
    message = modern("tools/list")
    message.meta[f"{META}protocolVersion"] = "1900-01-01"
    status, [answer] = post(address, message)
    assert (status, answer["error"]["code"]) == (400, -32022)
    assert "2026-07-28" in answer["error"]["data"]["supported"]


@pytest.mark.parametrize(("content", "code"), [
    (b"{", -32700), (b"\xff", -32700), (b"[]", -32600), (b"", -32700),
    (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600), (b'{"id":1}', -32600),
    (b"[" * 5000, -32700)])
def test_no_message(address, content, code):
    """What is no message is 400."""
    with posted(address, content, {"Content-Type": "application/json"}) as response:
        assert error_of((response.status, messages_of(response))) == code


def test_a_response_is_taken(address):
    """A response of a client, who was not asked, is taken and ignored."""
    response = {"jsonrpc": "2.0", "id": 1, "result": {}}
    with posted(address, response, {"Content-Type": "application/json"}) as answer:
        assert answer.status == 202


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type(address, kind):
    """A form of another site's page could have these types: they are refused."""
    with posted(address, body(legacy("ping")), {"Content-Type": kind}) as response:
        assert response.status == 415


def test_the_gate(door, work):
    """Token, host and origin are asked for as everywhere."""
    gate = Gate("secret", allow_origins=[SITE])
    with door(work.operation, gate=gate) as address:
        assert post(address, legacy("ping"))[0] == 401
        token = {"Authorization": "Bearer secret"}
        assert post(address, legacy("ping"), **token)[0] == 200
        assert post(address, legacy("ping"), Origin="https://evil.example", **token)[0] == 403
        assert post(address, legacy("ping"), Origin=SITE, **token)[0] == 200


def test_a_page_of_an_allowed_site(door, work):
    """A page's client may send the headers of the protocol, and read the session."""
    with door(work.operation, gate=Gate(allow_origins=[SITE])) as address:
        connection = http.client.HTTPConnection(*address[:2], timeout=WAIT)
        connection.request("OPTIONS", "/mcp", headers={"Origin": SITE})
        response = connection.getresponse()
        for name in ("Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id"):
            assert name in response.headers["Access-Control-Allow-Headers"]
        assert "Mcp-Session-Id" in response.headers["Access-Control-Expose-Headers"]
        connection.close()


def test_another_host(address):
    """A name of somebody else's is refused, because a page may have made it mean us."""
    assert post(address, legacy("ping"), Host="evil.example")[0] == 421


def test_a_large_message(door, work):
    """The limits of bodies hold for messages."""
    with door(work.operation, limits=longop.Limits(max_body=100)) as address:
        assert post(address, legacy("ping"))[0] == 200
        assert post(address, modern("server/discover"))[0] == 413
