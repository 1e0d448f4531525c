"""Values that another thread changes while a door writes them, and errors that say why."""

import contextlib
import itertools
import json

import pytest

from longop import LongOperation, Status
from longop.history import History
from longop.web.api import Api
from longop.web.held import wait

from ..values.test_jsontext import growing_deque, growing_dict, growing_instance, growing_list
from .api_operations import WAIT, Gate, finish, send, start, watched

GROWING = pytest.mark.parametrize(
    "make", [growing_dict, growing_list, growing_instance, growing_deque])


class Filling(Gate):
    """A function that goes on filling what it has reported."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def __call__(self, callback):
        callback(self.value, 1, 4, self.value)
        self.reported.set()
        assert self.open.wait(WAIT)
        return self.value


def poll(api, id):
    return send(api, f"GET /v1/jobs/{id}")[1]["result"]


def long_poll(api, id):
    return send(api, f"GET /v1/jobs/{id}?since=0&wait=1")[1]["result"]


def listed(api, id):
    return send(api, "GET /v1/jobs")[1]["jobs"][0]["message"]


def event(api, id):
    with contextlib.closing(wait(watched(api, f"GET /v1/jobs/{id}/events"))) as items:
        _, text = itertools.islice(items, 2)
    return json.loads(text.decode().partition("data: ")[2])["result"]


@pytest.mark.parametrize("door", [poll, long_poll, listed, event])
@GROWING
def test_value_that_grows_while_it_is_shown(make, door):
    """Every door answers with the value as it was at one moment."""
    value, expected = make()
    function = Filling(value)
    operation = LongOperation(function)
    api = Api([operation])
    job = operation.start()
    assert function.reported.wait(WAIT)
    assert door(api, job.id) == expected
    function.open.set()
    list(job.updates())


def begin(found, expected):
    """Return the part of a list or a dict that was there at first."""
    if isinstance(expected, list):
        return found[:len(expected)]
    return {name: found[name] for name in expected}


@GROWING
def test_value_that_grows_while_it_is_kept(make, tmp_path):
    """Both histories keep a job whose parameters, reports and result still change."""
    archive = pytest.importorskip("longop.archive")  # which may have been deleted
    expected = make()[1]
    with_file = archive.FileHistory(tmp_path / "jobs.sqlite3")
    for history in History(), with_file:
        status = Status("a", "m", "n", result=make()[0], message=make()[0])
        history.start(status, {"value": make()[0]}, waits=True)
        history.track(status.replace(result=make()[0], version=1))
        assert history.parameters("a") == {"value": expected}
        history.add(status)
        history.get("a")
    kept = with_file.get("a")
    with_file.close()
    for found in kept.result, kept.message:
        assert begin(found, expected) == expected


@GROWING
def test_value_that_grows_while_it_is_sent(make):
    """A report goes from a worker on another machine although it still changes."""
    channel = pytest.importorskip("longop.workers.channel")  # which may have been deleted
    value, expected = make()
    assert channel.JSON.loads(channel.JSON.dumps(("reported", value))) == ["reported", expected]


def fail(callback):
    try:
        int("x")
    except ValueError as error:
        raise KeyError("a" * 3_000_000) from error


fail.__module__ = "api_operations"


def test_error_at_every_door():
    """A long error is cut where it begins, so that every door shows the same, with its cause."""
    api = Api([LongOperation(fail)])
    id = start(api, "fail")
    shown = finish(api, id)["error"]
    assert len(shown) <= 10_000
    assert shown.startswith("KeyError: 'aaa")
    assert shown.endswith("\ncause: ValueError: invalid literal for int() with base 10: 'x'")
    assert send(api, "GET /v1/jobs")[1]["jobs"][0]["error"] == shown
