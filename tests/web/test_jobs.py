"""`longop.web.jobs`: the views under ``/v1/jobs``."""

import itertools
import json

import pytest

from longop import History, LongOperation, Status
from longop.web.api import Api

from .api_operations import ID, WAIT, finish, paint, send, start, watched


def test_job_routes(gate):
    """A job is shown, cancelled, listed and forgotten under its id."""
    api = Api([LongOperation(gate), LongOperation(paint)])
    started = start(api, "gate")
    path = "/v1/jobs/" + started
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
    ended = finish(api, started)
    assert (ended["state"], ended["result"], ended["step"]) == ("cancelled", "more", 2)
    assert send(api, f"POST {path}/cancel")[:2] == (200, ended)
    other = start(api, "paint", "?n=1")
    finish(api, other)
    listed = send(api, "GET /v1/jobs")[1]["jobs"]
    assert {job["id"] for job in listed} == {ended["id"], other}
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
    path = "GET /v1/jobs/" + start(api, "gate")
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


@pytest.mark.parametrize("polls", [10, 100])
def test_polls_without_news_make_no_status(gate, monkeypatch, polls):
    """However often a job is asked for, its status is only made when there is news."""
    operation = LongOperation(gate)
    api = Api([operation])
    path = "GET /v1/jobs/" + start(api, "gate")
    assert gate.reported.wait(WAIT)
    made = []
    replace = Status.replace

    def replace_and_note(status, **changes):
        made.append(changes)
        return replace(status, **changes)

    assert send(api, path)[1]["result"] == "partial"
    monkeypatch.setattr(Status, "replace", replace_and_note)
    for _ in range(polls):
        assert send(api, path)[1]["result"] == "partial"
    assert made == []
    [job] = operation.live.values()
    job.callback("news")
    assert send(api, path)[1]["result"] == "news"
    assert made


def test_any_result_is_shown():
    """A result that JSON cannot hold is shown as well as it can be."""
    operation = LongOperation(lambda callback: {"nan": float("nan"), 1: {2}}, name="odd",
                              history=History())
    operation.module = "api_operations"
    api = Api([operation])
    assert finish(api, start(api, "odd"))["result"] == {"nan": None, "1": [2]}


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


def test_retry_after(gate):
    """A status says when to ask again, while it may change."""
    operation = LongOperation(gate)
    api = Api([operation])
    job = operation.start()
    assert send(api, f"GET /v1/jobs/{job.id}")[2] == {"Retry-After": "1"}
    gate.open.set()
    list(job.updates())
    assert send(api, f"GET /v1/jobs/{job.id}")[2] == {}
