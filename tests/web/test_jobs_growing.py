"""`longop.web.jobs`: a result that grows, the log and the series of a job."""

import json
import threading

import pytest

from longop import History, Job, LongOperation
from longop.functions import printed
from longop.web.api import Api
from longop.web.held import wait

from ..memory import kept_below, need_counts
from .api_operations import WAIT, finish, send


class Steps:
    """A function that appends a piece each time it is let, and ends after the last one."""

    __name__ = "steps"

    def __init__(self, pieces, way="append"):
        self._pieces = pieces
        self._way = way
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, callback):
        for step, piece in enumerate(self._pieces):
            assert self._go.acquire(timeout=WAIT)
            if self._way == "append":
                callback.append(piece, step)
            else:
                callback("".join(self._pieces[:step + 1]), step)
            self._done.release()
        assert self._go.acquire(timeout=WAIT)

    def step(self):
        self._go.release()
        assert self._done.acquire(timeout=WAIT)

    def end(self):
        self._go.release()


def running(pieces, way="append"):
    """Return an API, its function and the path of the job that runs it."""
    steps = Steps(pieces, way)
    api = Api([LongOperation(steps)])
    id = send(api, "POST /v1/test_jobs_growing/steps", Prefer="respond-async")[1]["id"]
    return api, steps, f"/v1/jobs/{id}"


def events_of(api, path, sizes=None):
    """Yield the kind and the data of the events at a path; add the size of each to a list."""
    request = api.read_head(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = wait(api.answer(request))
    assert next(answer).status == 200
    text = b""
    for part in answer:
        text += part
        *whole, text = text.split(b"\n\n")
        for event in whole:
            lines = dict(line.split(b": ", 1) for line in event.splitlines() if line[:1] != b":")
            if lines:
                if sizes is not None:
                    sizes.append(len(event) + 2)
                yield lines[b"event"].decode(), json.loads(lines[b"data"])


@pytest.mark.parametrize(("pieces", "appended", "whole"), [
    (["a", "bc"], ["a", "bc"], "abc"), ([{"n": 1}, 2], [[{"n": 1}], [2]], [{"n": 1}, 2]),
    ([b"a", b"bc"], ["YQ==", "YmM="], "YWJj")])
def test_events_that_bring_what_is_new(pieces, appended, whole):
    """With delta=1 the first event is the whole status; then each piece comes once."""
    api, steps, path = running(pieces)
    events = events_of(api, path + "?delta=1".replace("?", "/events?"))
    _, first = next(events)
    assert list(first)[:4] == ["id", "module", "operation", "state"]
    steps.step()
    _, second = next(events)
    got = [second.get("result", second.get("append"))]
    steps.step()
    _, third = next(events)
    assert "id" not in third
    assert (third["append"], third["step"]) == (appended[1], 1)
    assert got in ([appended[0]], [whole[:len(appended[0])]])
    steps.end()
    (_, last), = events
    assert last["state"] == "completed"
    assert "result" not in last
    assert "append" not in last
    assert finish(api, path[9:])["result"] == whole


@pytest.mark.parametrize("way", ["append", "whole"])
def test_bytes_on_the_wire(way):
    """Each character is sent once: ten times the reports make ten times the bytes."""
    sent = []
    for count in (100, 1_000):
        api, steps, path = running(["x" * 20] * count, way)
        sizes = []
        events = events_of(api, path + "/events?delta=1", sizes)
        next(events)
        for _ in range(count):
            steps.step()
            next(events)
        steps.end()
        assert [*events][-1][1]["state"] == "completed"
        assert sum(sizes) < 1.3 * 20 * count + 300 * len(sizes)
        sent.append(sum(sizes))
    assert sent[1] < 11 * sent[0]


def test_a_watcher_that_sleeps(monkeypatch):
    """A watcher that missed very many versions gets one event, with all of the status."""
    monkeypatch.setattr("longop.web.deltas._MOST_VERSIONS", 10)
    api, steps, path = running(["x"] * 50)
    sleeper, other = (events_of(api, path + "/events?delta=1") for _ in range(2))
    next(sleeper), next(other)
    for _ in range(50):
        steps.step()
        next(other)
    _, status = next(sleeper)
    assert (status["result"], status["step"]) == ("x" * 50, 49)
    assert "id" in status
    steps.end()
    (_, last), = sleeper
    assert last["state"] == "completed"
    assert not {"result", "append"}.intersection(last)


def test_memory_of_watchers_that_take_nothing():
    """Twenty watchers that are stuck at different versions of a large text keep none of them."""
    need_counts()
    api, steps, path = running(["x" * 1_000_000] + ["x"] * 20, "whole")
    steps.step()
    request = f"GET {path}/events?delta=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    watchers = []
    with kept_below(5_000_000):
        for _ in range(20):
            watcher = wait(api.answer(api.read_head(request)))
            assert next(watcher).status == 200
            assert next(watcher).startswith(b"event: status")  # the rest of it is still to come
            watchers.append(watcher)
            steps.step()
    steps.end()
    for watcher in watchers:
        assert b'"state":"completed"' in b"".join(watcher)


def test_polls_that_bring_what_is_new():
    """A poll that says what it has is answered with the rest; with nothing, with all."""
    api, steps, path = running(["a", "bc"])
    steps.step()
    _, first, _ = send(api, f"GET {path}?since=-1&have=0&wait=0")
    assert first["result"] == "a"
    assert "id" in first
    steps.step()
    query = f"?since={first['version']}&have=1&wait=10"
    status, second, headers = send(api, f"GET {path}{query}")
    assert (status, second["append"]) == (200, "bc")
    assert "id" not in second
    assert headers["Retry-After"] == "1"
    _, again, _ = send(api, f"GET {path}{query}")  # as if the answer had been lost
    assert again["append"] == "bc"
    _, other, _ = send(api, f"GET {path}?since=0&have=7&wait=0")
    assert other["result"] == "abc"
    assert send(api, f"GET {path}?have=x")[0] == 400
    steps.end()


def test_a_plain_status_has_the_whole_result():
    """Who does not ask for deltas gets each status whole, as ever."""
    api, steps, path = running(["a", "bc"])
    steps.step()
    steps.step()
    assert send(api, f"GET {path}")[1]["result"] == "abc"
    assert next(events_of(api, path + "/events"))[1]["result"] == "abc"
    steps.end()


def test_a_large_piece_is_encoded_elsewhere():
    """A large delta is made outside of an event loop, once for all at its place."""
    api, steps, path = running(["x" * 200_000, "y" * 200_000])
    steps.step()
    _, first, _ = send(api, f"GET {path}?have=0&wait=0")
    steps.step()
    request = api.read_head(
        f"GET {path}?since={first['version']}&have=200000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        .encode())
    held = api.answer_live(request)
    later = next(iter(held.items))
    assert not isinstance(later, bytes)
    assert not later.made.done()
    later.run()
    assert json.loads(later.made.result())["append"] == "y" * 200_000
    steps.end()


def numbers(callback):
    """Print, and report numbers."""
    print("begun")
    callback({"loss": 2.5}, 1)
    print("on", flush=True)
    callback({"loss": 1.5}, 2)


@pytest.mark.parametrize("kept", ["memory", "file"])
def test_log_and_series_after_the_end(kept, tmp_path):
    """What a job printed and its numbers are there after its end, also after a restart."""
    if kept == "file":
        pytest.importorskip("longop.archive")
    path = str(tmp_path / "h.sqlite3")
    operation = LongOperation(numbers, history=path if kept == "file" else History())
    api = Api([operation])
    printed.capture()
    try:
        job = operation.start()
        job.result()
    finally:
        printed.release()
    for look in range(2):
        log = raw(api, f"/v1/jobs/{job.id}/log")
        assert (log.status, log.body, log.content_type) == (
            200, b"begun\non\n", "text/plain; charset=utf-8")
        assert send(api, f"GET /v1/jobs/{job.id}/series")[1] == {
            "reports": 2, "step": [1, 2], "series": {"loss": [2.5, 1.5]}}
        if kept == "memory" or look:
            break
        operation.close()
        operation = LongOperation(numbers, history=path)
        api = Api([operation])
    assert send(api, "GET /v1/jobs/x/series")[0] == 404
    operation.close()


def raw(api, path):
    request = api.read_head(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return next(wait(api.answer(request)))


def test_log_events():
    """Whole lines that are printed are events, each line once, and the last ones before the end."""
    go = threading.Semaphore(0)

    def talk(callback):
        for n in range(3):
            assert go.acquire(timeout=WAIT)
            print(f"line {n}", end="\n" if n < 2 else "")
            callback(n)

    operation = LongOperation(talk)
    api = Api([operation])
    printed.capture()
    try:
        job = operation.start()
        events = events_of(api, f"/v1/jobs/{job.id}/events")
        assert next(events)[0] == "status"
        for _ in range(3):
            go.release()
        rest = [*events]
    finally:
        printed.release()
    assert "".join(data["text"] for kind, data in rest if kind == "log") == "line 0\nline 1\nline 2"
    assert rest[-1][1]["state"] == "completed"


may_fail = threading.Event()


def fails():
    assert may_fail.wait(WAIT)
    raise ValueError("wrong")


def fails_while_it_yields():
    yield 1
    fails()


async def fails_while_it_waits():
    fails()


async def fails_while_it_waits_and_yields():
    yield 1
    fails()


@pytest.mark.parametrize("show_tracebacks", [False, True])
@pytest.mark.parametrize("function", [
    fails, fails_while_it_yields, fails_while_it_waits, fails_while_it_waits_and_yields])
def test_traceback(function, show_tracebacks):
    """The log and its events end with the traceback of a failure, if that is wanted."""
    operation = LongOperation(function, callback=False, show_tracebacks=show_tracebacks)
    api = Api([operation])
    may_fail.clear()
    job = operation.start()
    events = events_of(api, f"/v1/jobs/{job.id}/events")
    assert next(events)[1]["state"] == "running"
    may_fail.set()
    events = [*events]
    said = "".join(data["text"] for kind, data in events if kind == "log")
    log = raw(api, f"/v1/jobs/{job.id}/log").body.decode()
    assert log == said
    assert ("in fails\n" in log, log.endswith("ValueError: wrong\n")) == 2 * (show_tracebacks,)
    assert events[-1][1]["state"] == "failed"
    assert show_tracebacks or __file__ not in str(events) + log


def test_traceback_after_a_restart(tmp_path):
    """The traceback is kept with the job."""
    pytest.importorskip("longop.archive")
    path = str(tmp_path / "h.sqlite3")
    may_fail.set()
    operation = LongOperation(fails, callback=False, history=path, show_tracebacks=True)
    job = operation.start()
    job.exception()
    operation.close()
    operation = LongOperation(fails, callback=False, history=path)
    assert raw(Api([operation]), f"/v1/jobs/{job.id}/log").body == job.log().encode()
    assert "ValueError: wrong" in job.log()
    operation.close()


def test_a_stream_that_begins_while_a_job_ends(monkeypatch):
    """Between its last step and its end a job is found, so that its end is sent too."""
    operation = LongOperation(lambda: "value", callback=False, name="quick")
    api = Api([operation])
    streams = []
    set_result = Job.set_result

    def look_then_set(job, value):
        events = events_of(api, f"/v1/jobs/{job.id}/events")
        streams.append((next(events), events))
        set_result(job, value)

    monkeypatch.setattr(Job, "set_result", look_then_set)
    job = operation.start()
    assert job.result(WAIT) == "value"
    [(first, rest)] = streams
    assert first[1]["state"] == "running"
    assert [data["state"] for _, data in rest] == ["completed"]


def test_a_forgotten_job_has_no_log(tmp_path):
    """What was printed is forgotten with its job."""
    pytest.importorskip("longop.archive")
    operation = LongOperation(numbers, history=str(tmp_path / "h.sqlite3"))
    api = Api([operation])
    job = operation.start()
    job.result()
    operation.forget(job.id)
    assert send(api, f"GET /v1/jobs/{job.id}/series")[0] == 410
    operation.close()
