"""`longop.web.start`: a request that starts a job, and how it is answered."""

import functools
import json
from types import MappingProxyType
from urllib.parse import urlencode

import pytest

from longop import LongOperation
from longop.web.api import Api
from longop.web.gate import Gate
from longop.web.limits import Limits

from .api_operations import (ASYNC, PROBLEMS, WAIT, finish, paint, send, start,
                             watched)


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
    status, value, headers = send(api, f"POST /v1/api_operations/paint{query}", body, content_type,
                                  **ASYNC)
    assert status in (200, 202)  # it may have ended
    assert headers["Location"] == "/v1/jobs/" + value["id"]
    assert finish(api, value["id"])["result"] == result


@pytest.mark.parametrize(("query", "name", "what"), [
    ("", "n", "missing"), ("?n=x", "n", "whole number"), ("?n=1&m=2", "m", "unknown"),
    ("?n=1&colour=blue", "colour", "one of RED, red"), ("?n=1&n=2", "n", "whole number"),
    ("?n=1&callback=1", "callback", "unknown")])
def test_wrong_parameter(query, name, what):
    """A parameter that is missing, unknown or wrong is a 400 that names it; nothing starts."""
    operation = LongOperation(paint)
    status, value, _ = send(Api([operation]), f"POST /v1/api_operations/paint{query}", **ASYNC)
    assert (status, value["status"]) == (400, 400)
    assert name in value["detail"]
    assert what in value["errors"][name]
    assert operation.jobs() == []


def test_very_many_unknown_names():
    """The error names the first ten, and little of a long one."""
    body = json.dumps({"x" * 10_000 + str(number): 1 for number in range(999)})
    status, value, _ = send(Api([LongOperation(paint)]), "POST /v1/api_operations/paint?n=1",
                            body.encode(), "application/json", **ASYNC)
    assert (status, len(value["errors"])) == (400, 2)  # cut, they are all the same
    numbers = "&".join(f"{number}=1" for number in range(999))
    status, value, _ = send(Api([LongOperation(paint)]),
                            f"POST /v1/api_operations/paint?n=1&{numbers}", **ASYNC)
    assert [*value["errors"]] == [*map(str, range(10)), "..."]
    assert value["errors"]["..."] == "and 989 more are unknown"
    assert len(json.dumps(value)) < 3_000


def odd(self, key, id, callback=None, cls=None, **parameters):
    """Have parameters with the names that our own methods have."""
    return [self, key, id, cls, parameters]


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
def test_names_of_our_own(headers):
    """A parameter may have any name, also ``self``."""
    api = Api([LongOperation(odd)])
    body = {"self": 1, "key": 2, "id": 3, "cls": 4, "parameters": 5, "": 6, "a b": 7, "args": 8}
    status, value, _ = send(api, "POST /v1/test_start/odd", json.dumps(body).encode(),
                            "application/json", Prefer=f"wait={WAIT}", **headers)
    assert (status, value["error"]) == (200, None)
    assert value["result"] == [1, 2, 3, 4, {"parameters": 5, "": 6, "a b": 7, "args": 8}]
    status, value, _ = send(Api([LongOperation(more)]), "POST /v1/test_start/more",
                            json.dumps(body).encode(), "application/json",
                            Prefer=f"wait={WAIT}", **headers)
    assert (status, value["error"], value["result"]) == (200, None, body)


@pytest.mark.parametrize("headers", [{"Prefer": f"wait={WAIT}"}, {}])
def test_the_token_is_not_stored(headers):
    """The token of a start in its query is neither a parameter nor shown with its job."""
    api = Api([LongOperation(more)], gate=Gate("secret"))
    assert send(api, "POST /v1/test_start/more?token=secret&a=1", **headers)[0] in (200, 202)
    text = json.dumps(send(api, "GET /v1/jobs?token=secret")[1])
    assert '"a"' in text
    assert "secret" not in text


def more(callback=None, **more):
    return more


def items(callback=None, values: list = (), table: dict = MappingProxyType({})):
    return "taken"


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("text", [
    "[" * 101 + "]" * 101, '["\\ud800"]', "[1e999]", '{"a": {"b": [-1e999]}}'])
def test_json_in_a_text(text, kind):
    """JSON inside a text has the same bounds as the body, those of the server's limits."""
    api = Api([LongOperation(items)], limits=Limits(max_depth=90))
    name = "values" if text.startswith("[") else "table"
    body = json.dumps({name: text}) if "json" in kind else urlencode({name: text})
    status, value, _ = send(api, "POST /v1/test_start/items", body.encode(), kind, **ASYNC)
    assert (status, [*value["errors"]]) == (400, [name])
    text = "[" * 95 + "]" * 95
    assert send(api, "POST /v1/test_start/items?values=" + text, **ASYNC)[0] == 400
    api = Api([LongOperation(items)], limits=Limits(max_depth=95))
    status = send(api, "POST /v1/test_start/items?values=" + text, **ASYNC)[0]
    assert status in (200, 202)  # it may have ended


def test_a_body_is_read_outside_of_the_loop():
    """A start is not answered in the event loop, so its body is parsed in another thread."""
    api = Api([LongOperation(items)])
    request = api.read_head(b"POST /v1/test_start/items HTTP/1.0\r\n\r\n")
    assert api.answer_live(request) is None


@pytest.mark.parametrize(("content_type", "body", "status"), [
    ("text/plain", b"n=1", 415), ("application/json", b"{", 400), ("application/json", b"[1]", 400),
    ("application/x-www-form-urlencoded", b"\xff=1", 400), ("multipart/form-data", b"x", 400)])
def test_wrong_body(content_type, body, status):
    """A body that cannot be read is an error that says so; nothing starts."""
    operation = LongOperation(paint)
    answer = send(Api([operation]), "POST /v1/api_operations/paint?n=1", body, content_type,
                  **ASYNC)
    assert answer[0] == status
    assert answer[1]["detail"]
    assert operation.jobs() == []


@pytest.mark.parametrize("path", [
    "/v1/api_operations/paint", "/v1/Api-OPERATIONS/PAINT", "/v1/api_operations/paint/",
    "/v1/api_operations/paint/a/b", "/v1/api%5Foperations/paint"])
def test_start_paths(path):
    """Case does not matter, ``-`` is ``_``, and further segments are allowed."""
    assert send(Api([LongOperation(paint)]), f"POST {path}?n=1", **ASYNC)[1]["operation"] == "paint"


def test_full_queue_over_http(gate):
    """A full queue is a 429 that says when to try again."""
    api = Api([LongOperation(gate, max_queued=0)])
    id = start(api, "gate")
    status, value, headers = send(api, "POST /v1/api_operations/gate", **ASYNC)
    assert (status, int(headers["Retry-After"]) > 0) == (429, True)
    assert value["job_id"] == id


def test_prefer_respond_async(gate):
    """A client that prefers to be answered as it is gets 202, the status, and where it is."""
    api = Api([LongOperation(gate)])
    status, value, headers = send(api, "POST /v1/api_operations/gate",
                                  Prefer="wait=1, Respond-Async")
    assert (status, value["state"], value["operation"]) == (202, "running", "gate")
    assert headers["Location"] == "/v1/jobs/" + value["id"]
    assert list(value) == list(send(api, "GET " + headers["Location"])[1])
    assert send(api, "POST /v1/api_operations/gate", Prefer="respond-async")[1]["state"] == "queued"


@pytest.mark.parametrize(("options", "query", "code"), [
    ({}, "?n=1", 400), ({"when_busy": "reject"}, "", 409), ({"max_queued": 0}, "", 429)])
def test_refusals(gate, options, query, code):
    """A start that is refused is a problem, which says what is wrong and starts nothing."""
    api = Api([LongOperation(gate, **options)])
    id = start(api, "gate")
    status, value, headers = send(api, "POST /v1/api_operations/gate" + query, **ASYNC)
    kind = "BadParameters" if code == 400 else "Busy"
    assert (status, value["type"], value["status"]) == (code, PROBLEMS + kind, code)
    assert ("errors" in value) == (code == 400)
    assert value.get("job_id") == (None if code == 400 else id)
    assert value["title"]
    assert value["detail"]
    assert ("Retry-After" in headers) == (code == 429)
    assert [job["id"] for job in send(api, "GET /v1/jobs")[1]["jobs"]] == [id]


def test_join_over_http(gate):
    """With ``when_busy="join"`` the client is told the job that runs."""
    api = Api([LongOperation(gate, when_busy="join")])
    id = start(api, "gate")
    status, value, headers = send(api, "POST /v1/api_operations/gate", Prefer="respond-async")
    assert (status, value["id"], headers["Location"]) == (202, id, "/v1/jobs/" + id)


def test_replace_over_http(gate):
    """With ``when_busy="replace"`` the job that runs is cancelled, and the new one waits for it."""
    api = Api([LongOperation(gate, when_busy="replace")])
    old = start(api, "gate")
    assert gate.reported.wait(WAIT)
    new = send(api, "POST /v1/api_operations/gate", **ASYNC)[1]
    assert new["state"] == "queued"
    assert send(api, "GET /v1/jobs/" + old)[1]["state"] == "cancelling"
    gate.open.set()
    assert finish(api, old)["state"] == "cancelled"
    assert finish(api, new["id"])["state"] == "completed"


@pytest.mark.parametrize(("content_type", "body", "other"), [
    ("application/json", b'{"n": 1, "note": "a"}', b'{"n": 1, "note": "b"}'),
    ("application/x-www-form-urlencoded", b"n=1&note=a", b"n=2&note=a")])
def test_idempotency_key(content_type, body, other):
    """A key given twice is one job, also after its end; with another body it is a 422."""
    operation = LongOperation(paint)
    api = Api([operation])
    post = functools.partial(send, api, "POST /v1/api_operations/paint", content_type=content_type,
                             **{"Idempotency-Key": '"8e03978e"'}, **ASYNC)
    first = post(body=body)[1]
    finish(api, first["id"])
    status, again, _ = post(body=body)
    assert (status, again["id"], again["state"]) == (200, first["id"], "completed")
    status, value, _ = post(body=other)
    assert (status, value["type"], value["status"]) == (422, PROBLEMS + "KeyReused", 422)
    assert first["id"] in value["detail"]
    assert len(operation.jobs()) == 1
    operation.forget(first["id"])
    status, value, _ = post(body=body)
    assert (status, value["title"]) == (410, "Gone")
    assert operation.jobs() == []


def test_idempotency_key_while_busy(gate):
    """A key whose job runs gets that job, though no other one could be started."""
    api = Api([LongOperation(gate, when_busy="reject")])
    key = {"Idempotency-Key": "a"}
    id = start(api, "gate", **key)
    assert start(api, "gate", **key) == id
    assert send(api, "POST /v1/api_operations/gate", Prefer="respond-async")[0] == 409
    status, value, _ = send(api, "POST /v1/api_operations/gate", Prefer="respond-async", **key)
    assert (status, value["id"], value["state"]) == (202, id, "running")


def test_prefer_wait(gate):
    """With ``Prefer: wait`` a start is answered when the job ends (200), or at the time (202)."""
    operation = LongOperation(gate)
    api = Api([operation])
    answer = watched(api, "POST /v1/api_operations/gate", Prefer="respond-async, wait=1000")
    assert next(answer.items) > 999
    gate.open.set()
    list(answer.job.updates())
    response = next(answer.items)
    assert (response.status, json.loads(response.body)["result"]) == (200, "all")
    assert response.headers == {"Location": f"/v1/jobs/{answer.job.id}",
                                "Preference-Applied": "wait=1000"}
    gate.open.clear()
    status, value, _ = send(api, "POST /v1/api_operations/gate", Prefer="wait=0")
    assert (status, value["state"]) == (202, "running")


def test_json_that_came_as_a_form():
    """JSON without its Content-Type, as curl sends it, is told from a form."""
    api = Api([LongOperation(paint)])
    status, answer, _ = send(api, "POST /v1/api_operations/paint", b'{"n": 1}',
                             "application/x-www-form-urlencoded", **ASYNC)
    assert status == 415
    assert "Content-Type: application/json" in answer["detail"]

