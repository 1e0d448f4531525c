"""`longop.codeproject.routes`: CodeProject's words over HTTP, beyond its transcripts."""

import functools

import pytest

from longop import LongOperation
from longop.web.api import Api

from ..web.api_operations import ID, PROBLEMS, WAIT, Gate, fail, finish, paint, send, start
from .adapters import HEAD


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


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
    status, value, headers = send(api, f"POST /v1/api_operations/paint{query}", body, content_type)
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
    status, value, _ = send(Api([operation]), f"POST /v1/api_operations/paint{query}")
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
    answer = send(Api([operation]), "POST /v1/api_operations/paint?n=1", body, content_type)
    assert answer[0] == status
    assert answer[1]["error"]
    assert operation.jobs() == []


@pytest.mark.parametrize("path", [
    "/v1/api_operations/paint", "/v1/Api-OPERATIONS/PAINT", "/v1/api_operations/paint/",
    "/v1/api_operations/paint/a/b", "/v1/api%5Foperations/paint"])
def test_start_paths(path):
    """Case does not matter, ``-`` is ``_``, and further segments are allowed."""
    assert send(Api([LongOperation(paint)]), f"POST {path}?n=1")[1]["success"] is True


@pytest.mark.parametrize(("line", "allow"), [
    ("GET /v1/api_operations/paint", "POST"), (f"PUT /v1/jobs/{ID}", "DELETE, GET"),
    ("POST /v1", "GET"), ("GET /v1/api_operations/cancel_command", "POST"),
    ("DELETE /v1/jobs", "GET"),
    ("DELETE /v1/api_operations/get_command_status", "GET, POST"),
    (f"GET /v1/jobs/{ID}/cancel", "POST")])
def test_wrong_method(line, allow):
    """A wrong method is a 405 that tells the right ones."""
    status, value, headers = send(Api([LongOperation(paint)]), line)
    assert (status, value["status"], headers) == (405, 405, {"Allow": allow})
    path = line.partition(" ")[2]
    assert send(Api([LongOperation(paint)]), f"OPTIONS {path}")[::2] == (204, {"Allow": allow})


def test_failed_run_says_failed():
    """A run that raised is ``failed``, with the exception's message and what was reported."""
    api = Api([LongOperation(fail)])
    id = send(api, "POST /v1/api_operations/fail")[1]["commandId"]
    finish(api, id)
    value = send(api, f"GET /v1/api_operations/get_command_status?commandId={id}")[1]
    assert (value["success"], value["commandStatus"], value["code"]) == (False, "failed", 500)
    assert (value["error"], value["result"], value["stop_reason"]) == ("wrong", "half", "error")


def test_old_ids_still_answer():
    """The result of a job is there after others were started."""
    api = Api([LongOperation(paint)])
    ids = [send(api, f"POST /v1/api_operations/paint?n={n}")[1]["commandId"] for n in (1, 2)]
    for n, id in enumerate(ids, 1):
        finish(api, id)
        value = send(api, f"GET /v1/api_operations/get_command_status?commandId={id}")[1]
        assert (value["commandStatus"], value["result"][0]) == ("completed", str(n))


def test_success_never_stands_with_cancelled(gate):
    """A status never has success together with cancelled: CodeProject's page would poll on."""
    api = Api([LongOperation(gate)])
    ids = [send(api, "POST /v1/api_operations/gate")[1]["commandId"] for _ in range(2)]
    assert gate.reported.wait(WAIT)
    poll = "GET /v1/api_operations/get_command_status?commandId="
    queued = send(api, poll + ids[1])[1]
    assert (queued["success"], queued["commandStatus"], queued["result"]) == (True, "queued", "")
    cancelled = send(api, f"POST /v1/api_operations/cancel_command?commandId={ids[1]}")[1]
    assert (cancelled["success"], cancelled["commandStatus"]) == (True, "cancelled")
    send(api, f"POST /v1/api_operations/cancel_command?commandId={ids[0]}")
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
    assert send(api, "POST /v1/api_operations/gate")[1]["success"] is True
    status, value, headers = send(api, "POST /v1/api_operations/gate")
    assert (status, value["success"], int(headers["Retry-After"]) > 0) == (429, False, True)


@pytest.mark.parametrize(("options", "query", "plain", "codeproject"), [
    ({}, "?n=1", 400, 400), ({"when_busy": "reject"}, "", 409, 200),
    ({"max_queued": 0}, "", 429, 429)])
def test_refusals(gate, options, query, plain, codeproject):
    """A refused start is problem+json with a preference, and in CodeProject's form without one."""
    api = Api([LongOperation(gate, **options)])
    id = send(api, "POST /v1/api_operations/gate")[1]["commandId"]
    line = "POST /v1/api_operations/gate" + query
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
    id = send(api, "POST /v1/api_operations/gate")[1]["commandId"]
    again = send(api, "POST /v1/api_operations/gate")[1]
    assert (again["success"], again["commandId"], again["commandStatus"]) == (True, id, "running")
    status, value, headers = send(api, "POST /v1/api_operations/gate", Prefer="respond-async")
    assert (status, value["id"], headers["Location"]) == (202, id, "/v1/jobs/" + id)


def test_replace_over_http(gate):
    """With ``when_busy="replace"`` the job that runs is cancelled, and the new one waits for it."""
    api = Api([LongOperation(gate, when_busy="replace")])
    old = send(api, "POST /v1/api_operations/gate")[1]
    assert gate.reported.wait(WAIT)
    new = send(api, "POST /v1/api_operations/gate")[1]
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
    post = functools.partial(send, api, "POST /v1/api_operations/paint", content_type=content_type,
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
    id = send(api, "POST /v1/api_operations/gate", **key)[1]["commandId"]
    assert send(api, "POST /v1/api_operations/gate", **key)[1]["commandId"] == id
    assert send(api, "POST /v1/api_operations/gate", Prefer="respond-async")[0] == 409
    status, value, _ = send(api, "POST /v1/api_operations/gate", Prefer="respond-async", **key)
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
    theirs = send(api, f"GET /v1/api_operations/get_command_status?commandId={id}")[1]
    assert theirs["commandStatus"] == "not started"


@pytest.mark.parametrize("names", [("same", "Same"), ("a-b", "a_b"), ("get_command_status", "x")])
def test_two_operations_on_one_route(names):
    """Two operations with the same route are an error that says what to do."""
    with pytest.raises(ValueError, match="name="):
        Api([LongOperation(paint, name=name) for name in names])


def test_json_that_came_as_a_form():
    """JSON without its Content-Type, as curl sends it, is told from a form."""
    api = Api([LongOperation(paint)])
    status, answer, _ = send(api, "POST /v1/api_operations/paint", b'{"n": 1}',
                             "application/x-www-form-urlencoded")
    assert status == 415
    assert "Content-Type: application/json" in answer["error"]


def test_ping():
    """Ping answers."""
    assert send(Api([LongOperation(paint)]), "GET /v1/status/ping")[1]["success"] is True


def fail_at_length(callback):
    try:
        int("x")
    except ValueError as error:
        raise KeyError("a" * 3_000_000) from error


fail_at_length.__module__ = "api_operations"


def test_long_error():
    """A long error is the one that the other doors show, without its type."""
    api = Api([LongOperation(fail_at_length)])
    id = start(api, "fail_at_length")
    shown = finish(api, id)["error"]
    said = send(api, f"GET /v1/api_operations/get_command_status?commandId={id}")[1]
    assert len(shown) <= 10_000
    assert said["error"] == shown.partition(": ")[2]


def test_braces_in_a_route_are_plain_characters(made):
    """A route with a {placeholder} is matched as it is written, as that server does."""
    door, _ = made(HEAD + '''
class Adapter(ModuleRunner):
    def process(self, data):
        return {"success": True, "said": data.command, "segments": data.segments}
''', {"Modules": {"Mod": {"RouteMaps": [{"Route": "vision/custom/{model}", "Command": "first"},
                                        {"Route": "vision/custom", "Command": "second"}]}}})
    for path, said, segments in (("custom/{model}", "first", []),
                                 ("custom/%7Bmodel%7D", "first", []),
                                 ("custom/{model}/x", "first", ["x"]),
                                 ("custom/other", "second", ["other"]), ("custom", "second", [])):
        answer = door.post(f"/v1/vision/{path}")
        assert (answer["said"], answer["segments"]) == (said, segments), path
    code, document = door.ask("GET", "/openapi.json")
    assert code == 200
    assert "/v1/Mod/%7Bmodel%7D" in document["paths"]
    (one,) = door.ask("GET", "/v1/module/list/running")[1]["modules"]
    assert [route["route"] for route in one["routeMaps"]] == [
        "vision/custom/{model}", "vision/custom"]
