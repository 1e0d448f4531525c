"""Requests in, responses out, without a socket."""

import enum
import functools
import itertools
import json
import re
import threading
import typing

import pytest

from longop import History, LongOperation, LongOperationError, State, Status, __version__
from longop.web.api import Api, problem
from longop.errors import RequestError
from longop.jsontext import dumps
from longop.web.held import wait

WAIT = 10
ID = 32 * "0"
PROBLEMS = "/openapi.json#/components/responses/"


class Colour(enum.Enum):
    RED = "red"


def paint(callback, n: int, colour: Colour = Colour.RED, note: str = "none", photo: bytes = b"",
          size: "typing.Optional[float]" = None):
    """Paint.

    At length.
    """
    callback(f"{n} {colour.name} {note} {len(photo)} {size}", n, 10)


def fail(callback):
    callback("half")
    raise ValueError("wrong")


class Gate:
    """A function that reports, and then waits to be let through."""

    __name__ = "gate"

    def __init__(self):
        self.reported, self.open = threading.Event(), threading.Event()

    def __call__(self, callback):
        callback("partial", 1, 4)
        self.reported.set()
        assert self.open.wait(WAIT)
        callback("more", 2)
        return "all"


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def send(api, line, body=b"", content_type=None, **headers):
    """Send a request and return the response's status, its JSON and its headers."""
    if content_type:
        headers["Content-Type"] = content_type
    headers = {"Host": "localhost", "Content-Length": len(body), **headers}
    head = f"{line} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    try:
        request = api.read_head(head.encode()).with_body(body)
        response = next(wait(api.answer(request)))
    except RequestError as error:  # which is raised while the body is still to come
        response = problem(error)
    value = json.loads(response.body) if "json" in response.content_type and response.body else None
    return response.status, value, response.headers


def finish(api, id):
    """Wait for a job's end and return its status as the API shows it."""
    for operation in api._operations:
        job = operation.live.get(id)
        if job:
            list(job.updates())
    return send(api, f"GET /v1/jobs/{id}")[1]


def test_operations_are_described():
    """GET /v1 tells the operations with their parameters as JSON Schema."""
    status, value, _ = send(Api([LongOperation(paint)]), "GET /v1")
    assert status == 200
    assert value == {"operations": [{
        "module": "test_api", "name": "paint", "description": "Paint.",
        "start": "/v1/test_api/paint",
        "parameters": {
            "type": "object",
            "properties": {
                "n": {"type": "integer"},
                "colour": {"enum": ["red"], "default": "red"},
                "note": {"type": "string", "default": "none"},
                "photo": {"type": "string", "contentEncoding": "base64", "default": ""},
                "size": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
            },
            "required": ["n"], "additionalProperties": False}}]}


MULTIPART = (b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\n3\r\n'
             b'--b\r\nContent-Disposition: form-data; name="photo"; filename="p"\r\n\r\n\0\r\n\xff'
             b'\r\n--b--\r\n')


@pytest.mark.parametrize(("query", "content_type", "body", "result"), [
    ("?n=3&note=a+b", None, b"", "3 RED a b 0 None"),
    ("", "application/json", b'{"n": 3, "size": 2, "photo": "AAAA"}', "3 RED none 3 2.0"),
    ("", "application/x-www-form-urlencoded", b"n=3&colour=red&size=", "3 RED none 0 None"),
    ("", "multipart/form-data; boundary=b", MULTIPART, "3 RED none 4 None"),
    ("?note=query", "application/json; charset=utf-8", b'{"n": 3}', "3 RED query 0 None")])
def test_start(query, content_type, body, result):
    """Parameters come as JSON, urlencoded, multipart or query, and arrive with their types."""
    api = Api([LongOperation(paint)])
    status, value, headers = send(api, f"POST /v1/test_api/paint{query}", body, content_type)
    assert (status, value["success"]) == (200, True)
    assert headers["Location"] == "/v1/jobs/" + value["commandId"]
    assert finish(api, value["commandId"])["result"] == result


@pytest.mark.parametrize(("query", "name", "what"), [
    ("", "n", "missing"), ("?n=x", "n", "whole number"), ("?n=1&m=2", "m", "unknown"),
    ("?n=1&colour=blue", "colour", "one of RED, red"), ("?n=1&n=2", "n", "whole number"),
    ("?n=1&callback=1", "callback", "unknown")])
def test_wrong_parameter(query, name, what):
    """A parameter that is missing, unknown or wrong is a 400 that names it; nothing starts."""
    operation = LongOperation(paint)
    status, value, _ = send(Api([operation]), f"POST /v1/test_api/paint{query}")
    assert (status, value["success"], value["code"]) == (400, False, 400)
    assert name in value["error"]
    assert what in value["errors"][name]
    assert operation.jobs() == []


@pytest.mark.parametrize(("content_type", "body", "status"), [
    ("text/plain", b"n=1", 415), ("application/json", b"{", 400), ("application/json", b"[1]", 400),
    ("application/x-www-form-urlencoded", b"\xff=1", 400), ("multipart/form-data", b"x", 400)])
def test_wrong_body(content_type, body, status):
    """A body that cannot be read is an error that says so; nothing starts."""
    operation = LongOperation(paint)
    answer = send(Api([operation]), "POST /v1/test_api/paint?n=1", body, content_type)
    assert answer[0] == status
    assert answer[1]["error"]
    assert operation.jobs() == []


@pytest.mark.parametrize("path", [
    "/v1/test_api/paint", "/v1/Test-API/PAINT", "/v1/test_api/paint/", "/v1/test_api/paint/a/b",
    "/v1/test%5Fapi/paint"])
def test_start_paths(path):
    """Case does not matter, ``-`` is ``_``, and further segments are allowed."""
    assert send(Api([LongOperation(paint)]), f"POST {path}?n=1")[1]["success"] is True


@pytest.mark.parametrize("path", [
    "/v1/test_api/painting", "/v1/test_api", "/v1/other/paint", "/v2", "/v1x", "/x/v1", "v1", "*",
    "/v1/jobs/x/y", "/v1/jobs//cancel", "//v1"])
def test_unknown_path(path):
    """What is not there is a 404 that tells the path."""
    status, value, _ = send(Api([LongOperation(paint)]), f"POST {path}")
    assert status == 404
    assert value["status"] == 404
    assert value["detail"]


@pytest.mark.parametrize(("line", "allow"), [
    ("GET /v1/test_api/paint", "POST"), (f"PUT /v1/jobs/{ID}", "DELETE, GET"),
    ("POST /v1", "GET"), ("GET /v1/test_api/cancel_command", "POST"), ("DELETE /v1/jobs", "GET"),
    ("DELETE /v1/test_api/get_command_status", "GET, POST"),
    (f"GET /v1/jobs/{ID}/cancel", "POST")])
def test_wrong_method(line, allow):
    """A wrong method is a 405 that tells the right ones."""
    status, value, headers = send(Api([LongOperation(paint)]), line)
    assert (status, value["status"], headers) == (405, 405, {"Allow": allow})
    path = line.partition(" ")[2]
    assert send(Api([LongOperation(paint)]), f"OPTIONS {path}")[::2] == (204, {"Allow": allow})


def test_job_routes(gate):
    """A job is shown, cancelled, listed and forgotten under its id."""
    api = Api([LongOperation(gate), LongOperation(paint)])
    _, started, _ = send(api, "POST /v1/test_api/gate")
    path = "/v1/jobs/" + started["commandId"]
    assert gate.reported.wait(WAIT)
    status, value, _ = send(api, "GET " + path)
    assert status == 200
    assert list(value) == [
        "id", "module", "operation", "state", "result", "step", "total", "progress", "message",
        "error", "stop_reason", "created_at", "started_at", "finished_at", "cancel_requested_at",
        "elapsed", "eta", "queue_position", "version"]
    assert (value["state"], value["result"], value["progress"]) == ("running", "partial", 0.25)
    assert send(api, "DELETE " + path)[0] == 409
    for _ in range(2):  # a cancel is idempotent
        status, value, _ = send(api, f"POST {path}/cancel")
        assert (status, value["state"]) == (200, "cancelling")
    gate.open.set()
    ended = finish(api, started["commandId"])
    assert (ended["state"], ended["result"], ended["step"]) == ("cancelled", "more", 2)
    assert send(api, f"POST {path}/cancel")[:2] == (200, ended)
    _, other, _ = send(api, "POST /v1/test_api/paint?n=1")
    finish(api, other["commandId"])
    listed = send(api, "GET /v1/jobs")[1]["jobs"]
    assert {job["id"] for job in listed} == {ended["id"], other["commandId"]}
    assert all("result" not in job for job in listed)
    assert send(api, "DELETE " + path)[0] == 204
    for line in ("GET " + path, "DELETE " + path, f"POST {path}/cancel"):
        assert send(api, line)[0] == 410
    for path in ("/v1/jobs/x", "/v1/jobs/" + ID):
        for line in ("GET " + path, "DELETE " + path, f"POST {path}/cancel"):
            assert send(api, line)[0] == 404


def test_times_go_on_between_reports(gate):
    """Between two changes a status differs in its times alone, and a change is seen at once."""
    operation = LongOperation(gate)
    api = Api([operation])
    path = "GET /v1/jobs/" + send(api, "POST /v1/test_api/gate")[1]["commandId"]
    assert gate.reported.wait(WAIT)
    job = next(iter(operation.live.values()))
    shown = []
    for now in (10.0, 15.5, 15.5):
        job._clock = lambda now=now: job._began + now
        shown.append(send(api, path)[1])
    assert [(status["elapsed"], status["eta"]) for status in shown] == [
        (10.0, 30.0), (15.5, 46.5), (15.5, 46.5)]
    assert len({status["version"] for status in shown}) == 1
    gate.open.set()
    assert finish(api, job.id)["elapsed"] == 15.5
    assert send(api, path)[1]["result"] == "all"


def test_newest_job_first():
    """The jobs are listed newest first."""
    operation = LongOperation(paint)
    api = Api([operation])
    ids = [send(api, "POST /v1/test_api/paint?n=1")[1]["commandId"] for _ in range(5)]
    for id in ids:
        finish(api, id)
    assert [job["id"] for job in send(api, "GET /v1/jobs")[1]["jobs"]] == ids[::-1]


def test_page_and_ping():
    """The page is at its path, or nowhere; ping answers."""
    api = Api([LongOperation(paint)])
    answer = api.answer(api.read_head(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"))
    assert answer.content_type == "text/html; charset=utf-8"
    assert b"<title>longop</title>" in answer.body
    assert send(api, "GET /v1/status/ping")[1]["success"] is True
    assert send(Api([], page="/jobs"), "GET /jobs")[0] == 200
    assert send(Api([], page=None), "GET /")[0] == 404


@pytest.mark.parametrize("names", [("same", "Same"), ("a-b", "a_b"), ("get_command_status", "x")])
def test_two_operations_on_one_route(names):
    """Two operations with the same route are an error that says what to do."""
    with pytest.raises(ValueError, match="name="):
        Api([LongOperation(paint, name=name) for name in names])


def test_error_of_our_own(caplog, monkeypatch):
    """An error of the server's own is logged; the client is told no more than that."""
    api = Api([LongOperation(paint)])
    monkeypatch.setattr(LongOperation, "jobs", lambda self: 1 / 0)
    status, value, _ = send(api, "GET /v1/jobs")
    assert status == 500
    assert "division" not in json.dumps(value)
    assert "ZeroDivisionError" in caplog.text


# CodeProject.AI Server's words, where its transcripts have none: see test_codeproject


def test_failed_run_says_failed():
    """A run that raised is ``failed``, with the exception's message and what was reported."""
    api = Api([LongOperation(fail)])
    id = send(api, "POST /v1/test_api/fail")[1]["commandId"]
    finish(api, id)
    value = send(api, f"GET /v1/test_api/get_command_status?commandId={id}")[1]
    assert (value["success"], value["commandStatus"], value["code"]) == (False, "failed", 500)
    assert (value["error"], value["result"], value["stop_reason"]) == ("wrong", "half", "error")


def test_old_ids_still_answer():
    """The result of a job is there after others were started."""
    api = Api([LongOperation(paint)])
    ids = [send(api, f"POST /v1/test_api/paint?n={n}")[1]["commandId"] for n in (1, 2)]
    for n, id in enumerate(ids, 1):
        finish(api, id)
        value = send(api, f"GET /v1/test_api/get_command_status?commandId={id}")[1]
        assert (value["commandStatus"], value["result"][0]) == ("completed", str(n))


def test_success_never_stands_with_cancelled(gate):
    """A status never says success and cancelled together: that server's page would poll on."""
    api = Api([LongOperation(gate)])
    ids = [send(api, "POST /v1/test_api/gate")[1]["commandId"] for _ in range(2)]
    assert gate.reported.wait(WAIT)
    poll = "GET /v1/test_api/get_command_status?commandId="
    queued = send(api, poll + ids[1])[1]
    assert (queued["success"], queued["commandStatus"], queued["result"]) == (True, "queued", "")
    cancelled = send(api, f"POST /v1/test_api/cancel_command?commandId={ids[1]}")[1]
    assert (cancelled["success"], cancelled["commandStatus"]) == (True, "cancelled")
    send(api, f"POST /v1/test_api/cancel_command?commandId={ids[0]}")
    running = send(api, poll + ids[0])[1]
    assert (running["success"], running["commandStatus"]) == (True, "cancelling")
    gate.open.set()
    finish(api, ids[0])
    for id in ids:
        value = send(api, poll + id)[1]
        assert (value["success"], value["commandStatus"]) == (False, "cancelled")
        assert value["error"]


def test_full_queue_over_http(gate):
    """A full queue is a 429 that says when to try again."""
    api = Api([LongOperation(gate, max_queued=0)])
    assert send(api, "POST /v1/test_api/gate")[1]["success"] is True
    status, value, headers = send(api, "POST /v1/test_api/gate")
    assert (status, value["success"], int(headers["Retry-After"]) > 0) == (429, False, True)


def test_prefer_respond_async(gate):
    """A client that prefers to be answered as it is gets 202, the status, and where it is."""
    api = Api([LongOperation(gate)])
    status, value, headers = send(api, "POST /v1/test_api/gate", Prefer="wait=1, Respond-Async")
    assert (status, value["state"], value["operation"]) == (202, "running", "gate")
    assert headers["Location"] == "/v1/jobs/" + value["id"]
    assert list(value) == list(send(api, "GET " + headers["Location"])[1])
    assert send(api, "POST /v1/test_api/gate", Prefer="respond-async")[1]["state"] == "queued"


@pytest.mark.parametrize(("options", "query", "plain", "codeproject"), [
    ({}, "?n=1", 400, 400), ({"when_busy": "reject"}, "", 409, 200),
    ({"max_queued": 0}, "", 429, 429)])
def test_refusals(gate, options, query, plain, codeproject):
    """A start that is refused is a problem to those who prefer it, else as that server says it."""
    api = Api([LongOperation(gate, **options)])
    id = send(api, "POST /v1/test_api/gate")[1]["commandId"]
    line = "POST /v1/test_api/gate" + query
    status, value, headers = send(api, line, Prefer="respond-async")
    kind = "BadParameters" if plain == 400 else "Busy"
    assert (status, value["type"], value["status"]) == (plain, PROBLEMS + kind, plain)
    assert ("errors" in value) == (plain == 400)
    assert value["title"]
    assert value["detail"]
    assert ("Retry-After" in headers) == (plain == 429)
    status, value, headers = send(api, line)
    assert (status, value["success"]) == (codeproject, False)
    assert value["error"]
    assert ("Retry-After" in headers) == (codeproject == 429)
    assert value.get("commandId") == (id if codeproject == 200 else None)
    assert [job["id"] for job in send(api, "GET /v1/jobs")[1]["jobs"]] == [id]


def test_join_over_http(gate):
    """With ``when_busy="join"`` the client is told the job that runs."""
    api = Api([LongOperation(gate, when_busy="join")])
    id = send(api, "POST /v1/test_api/gate")[1]["commandId"]
    again = send(api, "POST /v1/test_api/gate")[1]
    assert (again["success"], again["commandId"], again["commandStatus"]) == (True, id, "running")
    status, value, headers = send(api, "POST /v1/test_api/gate", Prefer="respond-async")
    assert (status, value["id"], headers["Location"]) == (202, id, "/v1/jobs/" + id)


def test_replace_over_http(gate):
    """With ``when_busy="replace"`` the job that runs is cancelled, and the new one waits for it."""
    api = Api([LongOperation(gate, when_busy="replace")])
    old = send(api, "POST /v1/test_api/gate")[1]
    assert gate.reported.wait(WAIT)
    new = send(api, "POST /v1/test_api/gate")[1]
    assert new["commandStatus"] == "queued"
    assert send(api, "GET /v1/jobs/" + old["commandId"])[1]["state"] == "cancelling"
    gate.open.set()
    assert finish(api, old["commandId"])["state"] == "cancelled"
    assert finish(api, new["commandId"])["state"] == "completed"


@pytest.mark.parametrize(("content_type", "body", "other"), [
    ("application/json", b'{"n": 1, "note": "a"}', b'{"n": 1, "note": "b"}'),
    ("application/x-www-form-urlencoded", b"n=1&note=a", b"n=2&note=a")])
def test_idempotency_key(content_type, body, other):
    """A key given twice is one job, also after its end; with another body it is a 422."""
    operation = LongOperation(paint)
    api = Api([operation])
    post = functools.partial(send, api, "POST /v1/test_api/paint", content_type=content_type,
                             **{"Idempotency-Key": '"8e03978e"'})
    first = post(body=body)[1]
    finish(api, first["commandId"])
    again = post(body=body)[1]
    assert (again["success"], again["commandId"]) == (True, first["commandId"])
    assert again["commandStatus"] == "completed"
    status, value, _ = post(body=other)
    assert (status, value["success"], value["code"]) == (422, False, 422)
    assert first["commandId"] in value["error"]
    assert "commandId" not in value
    status, value, _ = post(body=other, Prefer="respond-async")
    assert (status, value["type"], value["status"]) == (422, PROBLEMS + "KeyReused", 422)
    assert len(operation.jobs()) == 1
    operation.forget(first["commandId"])
    assert post(body=body)[0] == 410
    assert post(body=body, Prefer="respond-async")[1]["title"] == "Gone"
    assert operation.jobs() == []


def test_idempotency_key_while_busy(gate):
    """A key whose job runs gets that job, though no other one could be started."""
    api = Api([LongOperation(gate, when_busy="reject")])
    key = {"Idempotency-Key": "a"}
    id = send(api, "POST /v1/test_api/gate", **key)[1]["commandId"]
    assert send(api, "POST /v1/test_api/gate", **key)[1]["commandId"] == id
    assert send(api, "POST /v1/test_api/gate", Prefer="respond-async")[0] == 409
    status, value, _ = send(api, "POST /v1/test_api/gate", Prefer="respond-async", **key)
    assert (status, value["id"], value["state"]) == (202, id, "running")


def test_commands_see_their_module_only(gate):
    """A command's id is found under its own module, and a job's everywhere."""
    other = LongOperation(paint)
    other.module = "other"
    api = Api([LongOperation(gate), other])
    id = send(api, "POST /v1/other/paint?n=1")[1]["commandId"]
    assert finish(api, id)["state"] == "completed"
    mine = send(api, f"GET /v1/other/get_command_status?commandId={id}")[1]
    assert mine["commandStatus"] == "completed"
    theirs = send(api, f"GET /v1/test_api/get_command_status?commandId={id}")[1]
    assert theirs["commandStatus"] == "not started"


def test_module_called_jobs(gate):
    """A module may be called jobs, and an operation like anything: nothing hides anything."""
    operation = LongOperation(paint, name="cancel")
    operation.module = "jobs"
    api = Api([operation])
    id = send(api, "POST /v1/jobs/cancel?n=1")[1]["commandId"]
    assert finish(api, id)["state"] == "completed"
    assert send(api, f"POST /v1/jobs/{id}/cancel")[1]["state"] == "completed"
    assert len(send(api, "GET /v1/jobs")[1]["jobs"]) == 1


def test_any_result_is_shown():
    """A result that JSON cannot hold is shown as well as it can be."""
    api = Api([LongOperation(lambda callback: {"nan": float("nan"), 1: {2}}, name="odd",
                             history=History())])
    id = send(api, "POST /v1/test_api/odd")[1]["commandId"]
    assert finish(api, id)["result"] == {"nan": None, "1": [2]}


# Watching


def watched(api, line, **headers):
    """Return what answers a request, one that waits included."""
    lines = "".join(f"{k}: {v}\r\n" for k, v in {"Host": "localhost", **headers}.items())
    return api.answer(api.read_head(f"{line} HTTP/1.1\r\n{lines}\r\n".encode()))


def test_long_poll(gate):
    """With ``since`` the status is answered when its version is above it, or the time is over."""
    operation = LongOperation(gate)
    api = Api([operation])
    job = operation.start()
    assert gate.reported.wait(WAIT)
    path = f"GET /v1/jobs/{job.id}"
    version = job.status().version
    for query in ("", f"?since={version - 1}", f"?since={version}&wait=0", "?wait=1000"):
        assert send(api, path + query)[1]["version"] == version
    answers = [watched(api, f"{path}?since={since}&wait=1000") for since in (version, 99)]
    for answer in answers:
        assert 999 < next(answer.items) <= 1000
    gate.open.set()
    list(job.updates())
    for answer in answers:
        assert json.loads(next(answer.items).body)["state"] == "completed"
    # Nothing more will change: there is nothing to wait for.
    assert send(api, f"{path}?since=99&wait=1000")[1]["state"] == "completed"


@pytest.mark.parametrize("query", ["since=x", "wait=x", "wait=nan", "since=1e9", "wait=-"])
def test_long_poll_without_a_number(gate, query):
    """What is no number is said to be none."""
    operation = LongOperation(gate)
    job = operation.start()
    status, value, _ = send(Api([operation]), f"GET /v1/jobs/{job.id}?{query}")
    assert (status, [*value["errors"]]) == (400, [query.partition("=")[0]])


def test_events(gate):
    """An event stream has each status that is new to the client, as the status route shows it."""
    operation = LongOperation(gate)
    api = Api([operation])
    job = operation.start()
    assert gate.reported.wait(WAIT)
    path = f"GET /v1/jobs/{job.id}/events"
    begin, event, pause, *_ = itertools.islice(watched(api, path).items, 3)
    assert (begin.status, begin.body, begin.content_type) == (200, None, "text/event-stream")
    assert begin.headers["X-Accel-Buffering"] == "no"
    assert pause == 15
    name, id, data, *ends = event.decode().split("\n")
    version = job.status().version
    assert (name, id, ends) == ("event: status", f"id: {version}", ["", ""])
    assert data.startswith("data: ")
    shown = send(api, f"GET /v1/jobs/{job.id}")[1]
    times = {"elapsed": 0, "eta": 0}
    assert {**json.loads(data[6:]), **times} == {**shown, **times}
    again = watched(api, path, **{"Last-Event-ID": version}).items
    assert [*itertools.islice(again, 1, 3)] == [b":\n\n", 15]
    gate.open.set()
    list(job.updates())
    assert b'"state":"completed"' in next(again)
    assert [*again] == []
    last = watched(api, path)  # of a job that has ended there is one event
    assert (last.status, last.content_type) == (200, "text/event-stream")
    assert last.body.count(b"data: ") == 1
    seen = {"Last-Event-ID": job.status().version}
    assert watched(api, path, **seen).status == 204  # after which a browser does not ask again


def test_prefer_wait(gate):
    """With ``Prefer: wait`` a start is answered when the job ends (200), or at the time (202)."""
    operation = LongOperation(gate)
    api = Api([operation])
    answer = watched(api, "POST /v1/test_api/gate", Prefer="respond-async, wait=1000")
    assert next(answer.items) > 999
    gate.open.set()
    list(answer.job.updates())
    response = next(answer.items)
    assert (response.status, json.loads(response.body)["result"]) == (200, "all")
    assert response.headers == {"Location": f"/v1/jobs/{answer.job.id}",
                                "Preference-Applied": "wait=1000"}
    gate.open.clear()
    status, value, _ = send(api, "POST /v1/test_api/gate", Prefer="wait=0")
    assert (status, value["state"]) == (202, "running")


def test_retry_after(gate):
    """A status says when to ask again, while it may change."""
    operation = LongOperation(gate)
    api = Api([operation])
    job = operation.start()
    assert send(api, f"GET /v1/jobs/{job.id}")[2] == {"Retry-After": "1"}
    gate.open.set()
    list(job.updates())
    assert send(api, f"GET /v1/jobs/{job.id}")[2] == {}


def test_quick(gate):
    """Only what is read of a job that is alive is known to need no disk and no process."""
    operation = LongOperation(gate)
    api = Api([operation])
    job = operation.start()

    def quick(line):
        return api.is_quick(api.read_head(f"{line} HTTP/1.0\r\n\r\n".encode()))

    assert quick(f"GET /v1/jobs/{job.id}")
    assert quick(f"GET /v1/jobs/{job.id}/events")
    for line in (f"DELETE /v1/jobs/{job.id}", f"POST /v1/jobs/{job.id}/cancel", "GET /v1/jobs",
                 f"GET /v1/jobs/{ID}", "POST /v1/test_api/gate"):
        assert not quick(line)
    gate.open.set()
    list(job.updates())
    assert not quick(f"GET /v1/jobs/{job.id}")


def test_page_runs_its_own_script_only():
    """The page's policy lets its own script and style through, by a nonce, and nothing else."""
    api = Api([])
    one, other = (watched(api, "GET /") for _ in range(2))
    policy = dict(part.split(" ", 1) for part in
                  one.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in str(policy)
    nonce = policy["script-src"][7:-1].encode()
    assert policy["script-src"] == policy["style-src"] == f"'nonce-{nonce.decode()}'"
    for tag in b"script", b"style":
        assert re.findall(b"<%b[^>]*>" % tag, one.body) == [b'<%b nonce="%b">' % (tag, nonce)]
    assert nonce not in other.body
    assert not re.search(rb"\son\w+=|style=", one.body)  # which it would not let through
    assert one.headers["Referrer-Policy"] == "no-referrer"


def test_openapi():
    """The description has every route, every operation, and every kind of problem."""
    api = Api([LongOperation(paint), LongOperation(fail)])
    status, document, _ = send(api, "GET /openapi.json")
    assert (status, document["openapi"], document["info"]["version"]) == (
        200, "3.1.0", __version__)
    paths = document["paths"]
    start = paths["/v1/test_api/paint"]["post"]
    assert start["summary"] == "Paint."
    schema = start["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema == json.loads(dumps(api._operations[0].signature.schema()))
    assert start["requestBody"]["required"] is True
    assert paths["/v1/test_api/fail"]["post"]["requestBody"]["required"] is False
    for path, methods in paths.items():
        assert {method.upper() for method in methods} == set(
            api._find_views(path.replace("{id}", ID)))
    for kind in LongOperationError.__subclasses__():
        if kind.__module__ == "longop.errors" and kind.__name__ not in (
                "DeadlineExceeded", "WorkerLost"):  # which are of jobs, not of requests
            assert kind.__name__ in document["components"]["responses"]
    references = set(re.findall('"#(/[^"]*)"', json.dumps(document)))
    for reference in references:
        functools.reduce(lambda value, key: value[key], reference[1:].split("/"), document)
    properties = document["components"]["schemas"]["Status"]["properties"]
    assert [*properties] == [*Status.__dataclass_fields__]
    assert properties["state"]["enum"] == [state.value for state in State]


def test_json_that_came_as_a_form():
    """JSON without its Content-Type, as curl sends it, is told from a form."""
    api = Api([LongOperation(lambda callback, n=0: n, name="work")])
    status, answer, _ = send(api, "POST /v1/test_api/work", b'{"n": 1}',
                             "application/x-www-form-urlencoded")
    assert status == 415
    assert "Content-Type: application/json" in answer["error"]
