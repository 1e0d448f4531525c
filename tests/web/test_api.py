"""`longop.web.api`: requests in, responses out, without a socket."""

import json

import pytest

from longop import LongOperation
from longop.errors import OperationCancelled
from longop.history import History
from longop.web.api import Api
from longop.web.found import JobView

from .api_operations import ID, WAIT, finish, paint, send


@pytest.mark.parametrize("path", [
    "/v1/api_operations/painting", "/v1/api_operations", "/v1/other/paint", "/v2", "/v1x",
    "/x/v1", "v1", "*", "/v1/jobs/x/y", "/v1/jobs//cancel", "//v1"])
def test_unknown_path(path):
    """What is not there is a 404 that tells the path."""
    status, value, _ = send(Api([LongOperation(paint)]), f"POST {path}")
    assert status == 404
    assert value["status"] == 404
    assert value["detail"]


@pytest.mark.parametrize(("line", "allow"), [
    ("GET /v1/api_operations/paint", "POST"), (f"PUT /v1/jobs/{ID}", "DELETE, GET"),
    ("POST /v1", "GET"), ("DELETE /v1/jobs", "GET"), (f"GET /v1/jobs/{ID}/cancel", "POST")])
def test_wrong_method(line, allow):
    """A wrong method is a 405 that tells the right ones."""
    status, value, headers = send(Api([LongOperation(paint)]), line)
    assert (status, value["status"], headers) == (405, 405, {"Allow": allow})
    path = line.partition(" ")[2]
    assert send(Api([LongOperation(paint)]), f"OPTIONS {path}")[::2] == (204, {"Allow": allow})


def test_a_deep_path():
    """To find the route of a path, no more of it is looked up than a route has (counted)."""
    api = Api([LongOperation(paint)])
    looked_up = []

    class Counting(dict):
        def get(self, key):
            looked_up.append(len(key))
            return super().get(key)

    api._routes = Counting(api._routes)
    deep = "/v1/api_operations/paint" + "/a" * 4_000
    assert send(api, f"GET {deep}")[0] == 405  # the route is found
    assert sum(looked_up) < 2 * len(deep)
    looked_up.clear()
    assert send(api, f"POST {8 * deep}")[0] == 414
    assert sum(looked_up) < 2 * len(deep)


def test_page():
    """The page is at its path, or nowhere."""
    api = Api([LongOperation(paint)])
    answer = api.answer(api.read_head(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"))
    assert answer.content_type == "text/html; charset=utf-8"
    assert b"<title>longop</title>" in answer.body
    assert send(Api([], page="/jobs"), "GET /jobs")[0] == 200
    assert send(Api([], page=None), "GET /")[0] == 404


@pytest.mark.parametrize("names", [("same", "Same"), ("a-b", "a_b")])
def test_two_operations_on_one_route(names):
    """Two operations with the same route are an error that says what to do."""
    with pytest.raises(ValueError, match="name="):
        Api([LongOperation(paint, name=name) for name in names])


def test_error_of_our_own(caplog, monkeypatch):
    """An error of the server's own is logged; the client is told no more than that."""
    api = Api([LongOperation(paint)])
    monkeypatch.setattr("longop.web.listing.list_jobs", lambda *args: 1 / 0)
    status, value, _ = send(api, "GET /v1/jobs")
    assert status == 500
    assert "division" not in json.dumps(value)
    assert "ZeroDivisionError" in caplog.text


def raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), OperationCancelled()])
def test_exit_in_a_view(caplog, monkeypatch, error):
    """What is no `Exception`, such as a SystemExit of a user's module, is answered as well."""
    api = Api([LongOperation(paint)])
    monkeypatch.setattr("longop.web.listing.list_jobs", raising(error))
    assert send(api, "GET /v1/jobs")[0] == 500
    assert type(error).__name__ in caplog.text


def test_interrupt_in_a_view(monkeypatch):
    """Ctrl-C is not an answer: it goes to the caller."""
    api = Api([LongOperation(paint)])
    monkeypatch.setattr("longop.web.listing.list_jobs", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        send(api, "GET /v1/jobs")


def test_module_called_jobs(gate):
    """A module may be called jobs, and an operation like anything: nothing hides anything."""
    operation = LongOperation(paint, name="cancel")
    operation.module = "jobs"
    api = Api([operation])
    id = send(api, "POST /v1/jobs/cancel?n=1", Prefer="respond-async")[1]["id"]
    assert finish(api, id)["state"] == "completed"
    assert send(api, f"POST /v1/jobs/{id}/cancel")[1]["state"] == "completed"
    assert len(send(api, "GET /v1/jobs")[1]["jobs"]) == 1


def head(api, line):
    return api.read_head(f"{line} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())


@pytest.mark.parametrize("path", ["/v1/jobs/AB-cd", "/V1/Jobs/AB-cd/", "/v1/jobs/AB%2dcd"])
def test_id_as_it_is(gate, path):
    """An id is looked up as it came, whatever letters and dashes it has."""
    operation = LongOperation(gate)
    api = Api([operation])
    operation.submit({}, id="AB-cd")
    assert gate.reported.wait(WAIT)  # a cancel before that would end it at once
    assert api.answer_live(head(api, f"GET {path}"))
    assert send(api, f"GET {path}")[1]["id"] == "AB-cd"
    other = path.replace("AB", "ab")
    assert not api.answer_live(head(api, f"GET {other}"))
    assert send(api, f"GET {other}")[0] == 404
    assert send(api, f"POST {path.rstrip('/')}/Cancel")[1]["state"] == "cancelling"
    gate.open.set()
    assert finish(api, "AB-cd")["state"] == "cancelled"


def test_quick(gate):
    """Only what is read of a job that is alive is known to need no disk and no process."""
    operation = LongOperation(gate)
    api = Api([operation])
    job = operation.start()

    def quick(line):
        return api.answer_live(head(api, line)) is not None

    assert quick(f"GET /v1/jobs/{job.id}")
    assert quick(f"GET /v1/jobs/{job.id}/events")
    for line in (f"DELETE /v1/jobs/{job.id}", f"POST /v1/jobs/{job.id}/cancel", "GET /v1/jobs",
                 f"GET /v1/jobs/{ID}", "POST /v1/api_operations/gate"):
        assert not quick(line)
    gate.open.set()
    list(job.updates())
    assert not quick(f"GET /v1/jobs/{job.id}")


def test_quick_although_it_ends(gate, monkeypatch):
    """A job that ends while it is read is shown as it is in memory: no history is asked."""
    operation = LongOperation(gate)
    api = Api([operation])
    job = operation.start()
    request = head(api, f"GET /v1/jobs/{job.id}")
    of_live = JobView.of_live

    def end_after(view):
        found = of_live(view)
        gate.open.set()
        list(job.updates())
        return found

    monkeypatch.setattr(JobView, "of_live", end_after)
    monkeypatch.setattr(History, "get", raising(AssertionError("this may wait for a disk")))
    assert json.loads(api.answer_live(request).body)["id"] == job.id
    assert api.answer_live(request) is None
