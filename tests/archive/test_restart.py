"""`longop.archive.file_history`: what a restart, a fork, a damaged row, a full disk leave true."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from longop import ForgottenJob, LongOperation, State
from longop.archive import FileHistory, file_history
from longop.errors import HistoryError, KeyReused
from longop.operation import close_all
from longop.values.jsontext import dumps
from longop.web.api import Api

from ..waiting import WAIT, end_of, wait_until
from ..web.api_operations import send
from .rows import copy, job

ROOT = Path(__file__).parent.parent.parent


class Gated:
    """A function that reports as often as the test says, and then waits."""

    __name__ = "gated"

    def __init__(self):
        self.open = threading.Event()
        self.calls = []

    def __call__(self, callback, name: str = "", data: bytes = b""):
        self.calls.append(name)
        callback("begun")
        while not self.open.wait(0.005):
            callback.check()
        return name


@pytest.fixture
def gated():
    gated = Gated()
    yield gated
    gated.open.set()


# Versions (Last-Event-ID)


def test_the_end_is_told_to_who_saw_more_than_was_saved(file, gated):
    """After a kill, a stream that had seen any number of versions is sent the end, once."""
    with closing(LongOperation(gated, history=file)) as operation:
        running = operation.start()
        wait_until(lambda: running.status().result == "begun")
        left = copy(file)
        for _ in range(500):
            running.callback.latest = (running.callback.latest[0] + 1, *running.callback.latest[1:])
        seen = running.status().version
        gated.open.set()
    with closing(LongOperation(gated, history=left)) as operation:
        api = Api([operation])
        end = operation.status(running.id)
        assert end.state is State.INTERRUPTED
        for version in range(seen + 1):
            path = f"GET /v1/jobs/{running.id}/events"
            assert send(api, path, **{"Last-Event-ID": version})[0] == 200
        assert send(api, path, **{"Last-Event-ID": end.version})[0] == 204
        assert send(api, f"GET /v1/jobs/{running.id}?since={seen}")[1]["state"] == "interrupted"


def test_a_requeued_job_goes_on(file, gated):
    """A job that waits again keeps its id and created_at, and its versions go on."""
    with closing(LongOperation(gated, history=FileHistory(file, requeue=True))) as operation:
        operation.start(name="a")
        first = operation.start(name="b").status()
        wait_until(lambda: gated.calls == ["a"])
        left = copy(file)
        gated.open.set()
    gated.open.clear()
    gated.calls.clear()
    with closing(LongOperation(gated, history=FileHistory(left, requeue=True))) as operation:
        again = operation.live[first.id]
        status = again.status()
        assert (status.id, status.created_at) == (first.id, first.created_at)
        assert status.version > first.version + 1_000_000
        gated.open.set()
        assert again.result(WAIT) == "b"
        assert again.status().version > status.version
        assert again.status().created_at == first.created_at


def test_versions_of_two_restarts(file):
    """What waits through two restarts has greater versions in each; so has its end."""
    with closing(FileHistory(file, requeue=True)) as history:
        history.start(job("a", state=State.QUEUED, version=3), {"n": 1}, waits=True)
    versions = [3]
    for _ in range(2):
        with closing(FileHistory(file, requeue=True)) as history:
            ((status, parameters),) = history.requeued["m", "o"]
            assert (status.created_at, parameters) == (job("a").created_at, {"n": 1})
            versions.append(status.version)
    with closing(FileHistory(file)) as history:
        versions.append(history.get("a").version)
    assert versions == sorted({*versions})
    assert versions[-1] < 2 ** 53  # which JavaScript counts exactly


# A job begins once that is on the disk


class FullDisk:
    """Lets the writes of a history fail, as often as a test wants."""

    def __init__(self, history):
        self.full, self.tries = threading.Event(), threading.Semaphore(0)
        self._write = history._db.write
        history._db.write = self.write

    def write(self, *statements, **options):
        if self.full.is_set():
            self.tries.release()
            raise sqlite3.OperationalError("database or disk is full")
        return self._write(*statements, **options)


@pytest.mark.parametrize("end", ["room", "cancel", "close"])
def test_no_job_begins_on_a_full_disk(file, gated, monkeypatch, end, caplog):
    """With ``requeue`` a job stays queued while its beginning cannot be written."""
    monkeypatch.setattr("longop.dispatcher._DISK_PAUSE", 0.001)
    history = FileHistory(file, requeue=True)
    disk = FullDisk(history)
    with closing(LongOperation(gated, history=history)) as operation:
        disk.full.set()
        waiting = operation.start(name="a")
        for _ in range(3):
            assert disk.tries.acquire(timeout=WAIT)
        assert (waiting.state, gated.calls) == (State.QUEUED, [])
        gated.open.set()
        if end == "room":
            disk.full.clear()
            assert waiting.result(WAIT) == "a"
        elif end == "cancel":
            waiting.cancel()
            assert end_of(waiting).state is State.CANCELLED
        assert [record.exc_info for record in caplog.records if record.exc_info] == []
    assert gated.calls == (["a"] if end == "room" else [])
    assert "no job begins" in caplog.text


def test_a_beginning_that_is_being_written_at_the_end(file, gated):
    """The end waits for it: what the file says has begun has begun, and was then interrupted."""
    history = FileHistory(file, requeue=True)
    is_written, may_return = threading.Event(), threading.Event()
    write = history.begin

    def begin(status):
        result = write(status)
        is_written.set()
        assert may_return.wait(WAIT)
        return result

    history.begin = begin
    operation = LongOperation(gated, history=history)
    begun = operation.start(name="a")
    assert is_written.wait(WAIT)
    closing_thread = threading.Thread(target=operation.close)
    closing_thread.start()
    wait_until(lambda: operation._dispatcher._is_closed)
    may_return.set()
    closing_thread.join(WAIT)
    assert not closing_thread.is_alive()
    with closing(FileHistory(file, requeue=True)) as history:
        assert not history.requeued
        end = history.get(begun.id)
        assert (end.state, end.started_at is None) == (State.INTERRUPTED, False)
        assert end == begun.status()


def test_no_beginning_is_written_after_the_end(file, gated, monkeypatch):
    """A job whose thread comes to its beginning only then has not begun."""
    history = FileHistory(file, requeue=True)
    written = []
    monkeypatch.setattr(history, "begin", written.append)
    operation = LongOperation(gated, history=history)
    dispatcher = operation._dispatcher
    at_beginning, may_go_on = threading.Event(), threading.Event()
    begin = dispatcher._begin

    def late_begin(job):
        at_beginning.set()
        assert may_go_on.wait(WAIT)
        return begin(job)

    monkeypatch.setattr(dispatcher, "_begin", late_begin)
    waiting = operation.start(name="a")
    assert at_beginning.wait(WAIT)
    (thread,) = [one for one in threading.enumerate() if one.name == f"longop-{waiting.id}"]
    operation.close()
    may_go_on.set()
    thread.join(WAIT)
    assert (written, gated.calls) == ([], [])
    assert waiting.status().state is State.INTERRUPTED


def test_nothing_that_began_runs_again(file, gated):
    """A job that ended while the disk was full is interrupted after a kill, and not run twice."""
    history = FileHistory(file, requeue=True)
    disk = FullDisk(history)
    with closing(LongOperation(gated, history=history, limit=1)) as operation:
        first, second = operation.start(name="a"), operation.start(name="b")
        wait_until(lambda: gated.calls == ["a"])
        first.cancel()
        wait_until(lambda: gated.calls == ["a", "b"])
        disk.full.set()
        gated.open.set()
        assert second.result(WAIT) == "b"
        assert operation.status(second.id).result == "b"
        left = copy(file)
    with closing(LongOperation(gated, history=FileHistory(left, requeue=True))) as operation:
        assert operation.status(second.id).state is State.INTERRUPTED
        assert operation.live == {}
    assert gated.calls == ["a", "b"]


def test_the_end_on_a_full_disk(file, gated, caplog):
    """Operations that share a history end without a traceback while the disk is full."""
    history = FileHistory(file)
    disk = FullDisk(history)
    operations = [LongOperation(gated, history=history, name=name) for name in "ab"]
    jobs = [operation.start() for operation in operations]
    wait_until(lambda: len(gated.calls) == 2)
    disk.full.set()
    history._db.rows = disk.write  # a disk that is full may refuse to be read as well
    close_all(operations)
    for operation in operations:
        operation.close()
    history.close()
    assert {end_of(job).state for job in jobs} == {State.INTERRUPTED}
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_job_that_ends_after_the_history(file):
    """A job that ends when the history is closed is remembered, with one line in the log."""
    with closing(FileHistory(file)) as history:
        history.add(job("a"))
    history.add(job("b"))
    assert history.get("b") == job("b")
    with pytest.raises(HistoryError, match="it is closed"):
        history.get("a")
    with pytest.raises(HistoryError, match="it is closed"):
        history.ready()


# Damaged and foreign rows


DAMAGED = {
    "text": "no JSON", "list": "[]", "empty": "{}", "number": "5", "state": dumps(
        dict(vars(job("x")), state="lost")), "version": dumps(dict(vars(job("x")), version="x")),
    "null": None, "deep": "[" * 100_000}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("is_live", [False, True])
def test_a_damaged_row(file, caplog, text, is_live):
    """A row that cannot be read is logged once, and all the others are served."""
    names = ("api_operations", "gated")
    def good(id):
        return job(id).replace(module=names[0], operation=names[1])

    with closing(FileHistory(file)) as history:
        for id in "abc":
            history.add(good(id))
    with closing(sqlite3.connect(str(file))) as db, db:
        db.execute("UPDATE jobs SET status = ? WHERE id = 'b'", (text,))
        if is_live:
            db.execute("UPDATE jobs SET place = NULL, created = NULL WHERE id = 'b'")
    operation = LongOperation(lambda callback: None, name="gated", history=file)
    operation._dispatcher.name = names
    operation.module = names[0]
    with closing(operation):
        api = Api([operation])
        for _ in range(2):
            assert [found["id"] for found in send(api, "GET /v1/jobs")[1]["jobs"]] == ["c", "a"]
        assert [status.id for status in operation._dispatcher.history] == ["c", "a"]
        assert send(api, "GET /v1/jobs/a")[0] == 200
        assert send(api, "GET /v1/jobs/b")[0] in (404, 410, 500)
        operation.start().result(WAIT)
        if not is_live:
            operation.forget("b")
            with pytest.raises(ForgottenJob):
                operation.status("b")
    assert caplog.text.count("job b") <= 1
    if not (is_live and text is None):
        assert text is None or caplog.text.count("is damaged and left out") == 1


def test_a_field_too_many(file):
    """A field that another version has written is left out."""
    with closing(FileHistory(file)) as history:
        history.add(job("a", result=5))
    with closing(sqlite3.connect(str(file))) as db, db:
        fields = dict(vars(job("a")), colour="red")
        db.execute("UPDATE jobs SET status = ?", (dumps(fields),))
    with closing(FileHistory(file)) as history:
        assert history.get("a") == job("a", result=5)


# What is written


class Written:
    """Counts the characters and bytes that are handed to sqlite."""

    def __init__(self, history):
        self.size = 0
        self._write = history._db.write
        history._db.write = self.write

    def write(self, *statements, **options):
        for _, *values in statements:
            self.size += sum(len(value) for value in values if isinstance(value, (str, bytes)))
        return self._write(*statements, **options)


@pytest.mark.parametrize("size", [100_000, 1_000_000])
@pytest.mark.parametrize("requeue", [False, True])
def test_uploads_are_stored_once_and_only_while_they_wait(file, gated, size, requeue):
    """Of six uploads those that have to wait are written, once each, and only for a requeue."""
    history = FileHistory(file, requeue=requeue)
    written = Written(history)
    with closing(LongOperation(gated, history=history)) as operation:
        jobs = [operation.start(name=str(n), data=bytes(size)) for n in range(6)]
        assert history._size_of_waiting() // size == (6 if requeue else 0)  # 5 in base64
        gated.open.set()
        for started in jobs:
            started.result(WAIT)
        assert history._size_of_waiting() == 0
    whole = 5 * size * 4 / 3 if requeue else 0
    assert whole <= written.size < whole + 25_000


def test_parameters_count_in_the_bound(file, caplog):
    """Parameters of jobs that wait take room from those that ended; they never exceed it all."""
    data = bytes(30_000)  # 40 kB in base64
    with closing(FileHistory(file, requeue=True, max_bytes=100_000)) as history:
        for id in "abcdefgh":
            history.add(job(id, result=10_000 * id))
        assert len([*history]) == 8
        for id in "xyz":
            history.start(job(id, state=State.QUEUED), {"data": data}, waits=True)
        assert [status.id for status in history] == ["h"]
        assert history._size_of_waiting() < 100_000
        history.begin(job("x", state=State.QUEUED))
        history.add(job("i", result=10_000 * "i"))
        assert [status.id for status in history] == ["i", "h"]
    assert caplog.text.count("will not wait again after a restart") == 1
    with closing(FileHistory(file, requeue=True)) as history:
        assert [status.id for status, _ in history.requeued["m", "o"]] == ["y"]
        assert {history.get(id).state for id in "xz"} == {State.INTERRUPTED}


@pytest.mark.parametrize("size", [10_000, 100_000, 1_000_000])
def test_partial_results_keep_to_the_rate(file, size, monkeypatch):
    """In an hour of reports each second no more is written than the rate allows; the end always."""
    clock = [0.0]
    monkeypatch.setattr(file_history.time, "monotonic", lambda: clock[0])
    with closing(FileHistory(file, rate=64_000)) as history:
        written = Written(history)
        taken = 0
        for second in range(600):
            clock[0] = float(second)
            partial = job("a", state=State.RUNNING, result="x" * size, version=second)
            taken += history.track(partial)
        # Twice: what sqlite writes to its log goes into the file as well.
        assert 2 * written.size <= 64_000 * 610 + 2 * size
        assert taken >= min(600, 600 * 64_000 // (2 * size + 10_000))
        history.add(job("a", result="end"))
        assert history.get("a").result == "end"


# Keys


def test_a_key_that_joined_after_a_restart(file, gated):
    """A key that joined another job means that job after a restart, too; no second one starts."""
    with closing(LongOperation(gated, when_busy="join", history=file)) as operation:
        first = operation.start(name="a")
        assert operation.start_once("key", name="b") is first
        assert operation.start_once("key", name="b") is first
        gated.open.set()
        first.result(WAIT)
    for _ in range(2):
        with closing(LongOperation(gated, when_busy="join", history=file)) as operation:
            assert operation.start_once("key", name="b").id == first.id
            with pytest.raises(KeyReused):
                operation.start_once("key", name="c")
    assert gated.calls == ["a"]


# Forks

PRELOADED = """
import os, sys
from longop import LongOperation
from longop.archive import FileHistory
from longop.errors import HistoryError

history = FileHistory(sys.argv[1])
operation = LongOperation(lambda callback, n: n, history=history, name="work")
if sys.argv[2] == "used":
    operation.start(n=0).result(10)
for worker in range(2):  # the second one takes the place of the first
    child = os.fork()
    if not child:
        try:
            for n in range(10):
                operation.start(n=n).result(10)
        except HistoryError as error:
            print(error, flush=True)
        operation.close()
        sys.exit()
    os.waitpid(child, 0)
operation.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("how", ["unused", "used"])
def test_a_fork_after_the_import(file, how):
    """Each job of a forked worker is in the file, or its start says why it cannot be."""
    done = subprocess.run([sys.executable, "-c", PRELOADED, str(file), how], cwd=str(ROOT),
                          capture_output=True, text=True, timeout=3 * WAIT)
    assert done.stderr == ""
    with closing(FileHistory(file)) as history:
        states = [status.state for status in history]
    if how == "unused":
        assert done.stdout == ""
        assert states == 20 * [State.COMPLETED]
    else:
        assert done.stdout.count("this process was forked from one that uses it") == 2
        assert states == [State.COMPLETED]
