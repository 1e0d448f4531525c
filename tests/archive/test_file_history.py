"""`longop.archive.file_history`: jobs in a file, whatever becomes of server, disk and clock.

What a power cut or ``kill -9`` leaves is either made by one, or it is a copy of the files of a
server that has not closed them.
"""

import contextlib
import os
import queue
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import types
import typing
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from longop import (ForgottenJob, LongOperation, LongOperationError, OperationCancelled, State,
                    UnknownJob)
from longop.archive import FileHistory, tables
from longop.errors import HistoryError, KeyReused
from longop.guard import Clock
from longop.history import Wanted
from longop.values.jsontext import dumps, loads
from longop.operation import close_all

from ..test_history import (  # noqa: F401  # with this module's own fixture `shared`
    test_large_parameters_are_not_encoded, test_shared_by_operations,
    test_used_from_several_threads)
from ..waiting import WAIT, wait_until
from ..windows import DELETIONS, SIGNALS
from .rows import NAMES, copy, job

ROOT = Path(__file__).parent.parent.parent


def check(file):
    """Check that the file is a database without a fault."""
    with closing(sqlite3.connect(str(file))) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def end_of(job):
    return list(job.updates())[-1]


def filled(file, *jobs, **bounds):
    history = FileHistory(file, **bounds)
    for status in jobs:
        history.add(status)
    return history


def kept(history, names):
    """Return which of some ids can be got, and check that the others are said to be forgotten."""
    found = []
    for name in names:
        with contextlib.suppress(ForgottenJob):
            assert history.get(name).id == name
            found.append(name)
    assert [status.id for status in history] == found[::-1]
    return "".join(found)


class SetClock(Clock):
    """A clock that a test sets, for one job."""

    def __init__(self):
        self.time = self.until = 0.0

    def now(self):
        return self.time

    def wait(self, event, seconds):
        self.until = until = self.time + seconds
        while self.time < until and not event.wait(0.001):
            pass
        return event.is_set()

    def settle(self):
        """Wait until the job's guard has nothing to do at this time."""
        wait_until(lambda: self.until > self.time)

    def advance(self, seconds):
        self.settle()
        self.time += seconds
        self.settle()


class Reporter:
    """A function that does what the test puts into its queue."""

    __name__ = "reporter"

    def __init__(self):
        self.todo, self.reported = queue.Queue(), threading.Semaphore(0)

    def __call__(self, callback, name=None):
        for report in iter(self.todo.get, "end"):
            callback(report)
            self.reported.release()
        return name

    def report(self, value):
        self.todo.put(value)
        assert self.reported.acquire(timeout=WAIT)


@pytest.fixture
def reporter():
    reporter = Reporter()
    yield reporter
    for _ in range(100):
        reporter.todo.put("end")


@pytest.fixture
def shared(file):
    """A history for fifty jobs, for the tests that hold for any history."""
    with closing(FileHistory(file, max_jobs=50)) as history:
        yield history


# What survives


def test_finished_jobs_survive(file):
    """A job that has ended is the same once the file was closed and opened: value, error, times."""

    def function(callback, how):
        callback(f"{how} it", 1, 2, "half")
        if how == "fail":
            raise ValueError("wrong")
        while how == "cancel":
            callback()
        return [how, {"n": 1.5}]

    with closing(LongOperation(function, history=file)) as operation:
        ends = [end_of(operation.start(how="complete")), end_of(operation.start(how="fail"))]
        job = operation.start(how="cancel")
        job.cancel()
        ends.append(end_of(job))
    assert [status.state.value for status in ends] == ["completed", "failed", "cancelled"]
    assert ends[1].error == "ValueError: wrong"
    for _ in range(2):
        with closing(LongOperation(function, history=file)) as operation:
            assert [operation.status(status.id) for status in ends] == ends
            assert operation.jobs() == [status.replace(result=None) for status in reversed(ends)]
    check(file)


class Array:
    """As numpy has them."""

    def tolist(self):
        return [1, 2]


@pytest.mark.parametrize(("value", "read"), [
    (b"bytes", "Ynl0ZXM="), (float("nan"), None), ((1, float("inf")), [1, None]),
    (Array(), [1, 2]), ({1: {2}}, {"1": [2]}), ("\ud800 \0 \U0001f40c", "\ud800 \0 \U0001f40c")],
    ids=["bytes", "nan", "infinity", "array", "keys", "text"])
def test_values_that_json_does_not_know(file, value, read):
    """Any value is kept as well as JSON can say it; whoever has the job has the value itself."""

    def function(callback):
        callback(None, value, None, value)
        return value

    with closing(LongOperation(function, history=file)) as operation:
        job = operation.start()
        assert job.result(WAIT) is value
        status = operation.status(job.id)
        assert (status.result, status.step, status.message) == (read, read, read)
    with closing(FileHistory(file)) as history:
        assert history.get(job.id) == status


def test_interrupted_jobs(file, reporter):
    """After a power cut what ran is `interrupted` with its last report, and so is what waited."""
    clock = SetClock()
    with closing(LongOperation(reporter, history=file, clock=clock)) as operation:
        ran, waited = operation.start(), operation.start()
        clock.settle()
        reporter.report("last report")
        clock.advance(1)
        left = copy(file)
        reporter.todo.put("end")
        reporter.todo.put("end")
        assert waited.result(WAIT) is None
    for requeue in (False, True):  # then there is nothing left that waits
        with closing(FileHistory(left, requeue=requeue)) as history:
            statuses = [history.get(ran.id), history.get(waited.id)]
            assert [status.state for status in statuses] == 2 * [State.INTERRUPTED]
            assert [status.result for status in statuses] == ["last report", None]
            assert [status.stop_reason for status in statuses] == 2 * ["interrupted"]
            assert statuses[0].started_at == ran.status().started_at
            assert statuses[1].created_at == waited.status().created_at
            assert statuses[1].queue_position is None
            assert {status.id for status in history} == {ran.id, waited.id}
            noticed = [status.finished_at for status in statuses]
            assert min(noticed) >= ran.status().started_at  # the next server saw them
            assert [status.finished_at for status in history] == noticed[::-1]
    check(left)


def test_interrupted_jobs_of_an_older_version(file):
    """In a file whose interrupted jobs have no end, it is when they were recorded as such."""
    filled(file, job("a")).close()
    with closing(sqlite3.connect(str(file))) as db, db:
        (text,), = db.execute("SELECT status FROM jobs")
        old = dict(loads(text), state="interrupted", finished_at=None)
        db.execute("UPDATE jobs SET status = ?, at = 1700000000.25", (dumps(old),))
    with closing(FileHistory(file)) as history:
        status, = history
        assert (status.state, status.finished_at) == (
            State.INTERRUPTED, "2023-11-14T22:13:20.250Z")
        assert history.get("a") == status


def test_interrupted_by_close(file, reporter):
    """A job that `close` stops is `interrupted` with its last report; what waited never begins."""
    operation = LongOperation(reporter, history=file, grace=WAIT)
    jobs = [operation.start(), operation.start()]
    reporter.report("last report")
    jobs[0].callback.on_cancel(lambda: reporter.todo.put("one more"))
    operation.close()
    assert [job.state for job in jobs] == 2 * [State.INTERRUPTED]
    assert all(job.cancelled() for job in jobs)
    with closing(FileHistory(file)) as history:
        statuses = [history.get(job.id) for job in jobs]
        assert [status.result for status in statuses] == ["one more", None]
        assert [status.state for status in statuses] == 2 * [State.INTERRUPTED]
        assert statuses[1].started_at is None


@pytest.mark.parametrize(("annotation", "value"), [
    (typing.Any, "007"), (typing.Any, [1, {"a": None}]), (typing.Any, [5]), (int, 5),
    (typing.Optional[str], "null"), (typing.Optional[int], None), (tuple, (1, 2)),
    (Path, Path("a b")), (State, State.FAILED), (bytes, b"\xff\0")],
    ids=str)
def test_requeue(file, annotation, value):
    """With ``requeue`` what waited runs, in order, with its id and parameters; what ran, not."""
    calls, gate = [], threading.Event()

    def function(callback, value, number=0):
        calls.append((value, number))
        assert gate.wait(WAIT)
        return number

    function.__annotations__ = {"value": annotation}
    history = FileHistory(file, requeue=True)
    with closing(LongOperation(function, history=history)) as operation:
        jobs = [operation.start(value=value, number=number) for number in range(3)]
        left = copy(file)
        gate.set()
        jobs[2].result(WAIT)
    expected, calls[:] = calls[:], []
    gate.clear()
    with closing(LongOperation(function, history=FileHistory(left, requeue=True))) as operation:
        assert operation.status(jobs[0].id).state is State.INTERRUPTED
        again = [operation.live[job.id] for job in jobs[1:]]
        wait_until(lambda: again[0].state is State.RUNNING)  # once that is on the disk
        assert again[1].state is State.QUEUED
        gate.set()
        assert [job.result(WAIT) for job in again] == [1, 2]
    with closing(LongOperation(function, history=FileHistory(left, requeue=True))) as operation:
        assert not operation.live
        assert [operation.status(job.id).result for job in jobs] == [None, 1, 2]
    assert calls == expected[1:]
    assert [type(value) for value, _ in calls] == 2 * [type(value)]


def test_requeue_of_what_cannot_be_started(file, reporter, caplog):
    """What waited and cannot be started any more is `interrupted`, and that is logged."""
    with closing(LongOperation(reporter, history=file, name="changed")) as operation:
        jobs = [operation.start(name="x") for _ in range(2)]
        left = copy(file)
        reporter.todo.put("end")
        reporter.todo.put("end")
        jobs[1].result(WAIT)

    def changed(callback):
        raise AssertionError("it was started without its parameter")

    changed.__module__ = Reporter.__module__
    with closing(LongOperation(changed, history=FileHistory(left, requeue=True))) as operation:
        assert operation.status(jobs[1].id).state is State.INTERRUPTED
    assert "parameter 'name' is unknown" in caplog.text


def test_requeue_is_for_one_operation(file, reporter):
    """With ``requeue`` each operation gets its own jobs back and no other's."""
    history = FileHistory(file)
    operations = [LongOperation(reporter, history=history, name=name) for name in ("one", "two")]
    jobs = [operation.start() for operation in operations for _ in range(2)]
    left = copy(file)
    for _ in jobs:
        reporter.todo.put("end")
    for started in jobs:
        started.result(WAIT)
    close_all(operations)
    history = FileHistory(left, requeue=True)
    with closing(LongOperation(reporter, history=history, name="two")) as operation:
        (again,) = operation.live.values()
        assert again.id == jobs[3].id
        reporter.todo.put("end")
        again.result(WAIT)


@SIGNALS
@pytest.mark.slow
def test_kill_9(file, tmp_path):
    """Twenty times killed at a random moment, no job that was told to be finished is lost."""
    seed = os.environ.get("LONGOP_SEED") or str(random.randrange(10**6))
    print("LONGOP_SEED:", seed)  # which pytest shows if this fails
    moments = random.Random(seed)
    told = tmp_path / "told"
    least = 0
    for _ in range(20):
        with told.open("ab") as output:
            process = subprocess.Popen([sys.executable, "-m", "tests.kept", str(file)],
                                       cwd=str(ROOT), stdout=output)
        before = told.stat().st_size
        if moments.random() < 0.8:  # else it is killed while it begins
            wait_until(lambda before=before: told.stat().st_size > before)
            least += 1
        time.sleep(moments.uniform(0, 0.25))
        process.kill()
        assert process.wait(WAIT) == -signal.SIGKILL
        lines = told.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):  # the kill came before it was told
            told.write_bytes(b"".join(lines[:-1]))
        if file.exists():
            check(copy(file))
    lines = told.read_text().splitlines()
    print(len(lines), "jobs")
    assert len(lines) >= least > 0
    with closing(FileHistory(file)) as history:
        for line in lines:
            assert dumps(vars(history.get(loads(line)["id"]))) == line


# What is forgotten


@pytest.mark.parametrize(("bound", "expected"), [
    (1, "e"), (2, "de"), (4, "bcde"), (5, "abcde"), (6, "abcde")])
def test_bound_by_count(file, bound, expected):
    """The newest jobs are kept, as many as were asked for, and are the same ones ever after."""
    with closing(filled(file, *map(job, "abcde"), max_jobs=bound)) as history:
        assert kept(history, "abcde") == expected
    with closing(FileHistory(file, max_jobs=bound)) as history:
        assert kept(history, "abcde") == expected
        history.add(job("f"))
        assert kept(history, "abcdef") == (expected + "f")[-bound:]


@pytest.mark.parametrize(("bound", "expected"), [
    (5_000, "e"), (25_000, "de"), (35_000, "cde"), (100_000, "abcde")])
def test_bound_by_bytes(file, bound, expected):
    """The newest jobs are kept that take so many bytes together, but the newest one always."""
    with closing(filled(file, *(job(name, 10_000 * name) for name in "abcde"),
                        max_bytes=bound)) as history:
        assert kept(history, "abcde") == expected
    with closing(FileHistory(file, max_bytes=bound)) as history:
        assert kept(history, "abcde") == expected


def test_file_does_not_grow_for_ever(file):
    """The room of forgotten jobs is used again."""
    with closing(filled(file, max_bytes=1_000_000)) as history:
        for number in range(100):
            history.add(job(number, 100_000 * "x"))
    assert file.stat().st_size < 2_500_000


@pytest.fixture
def wall(monkeypatch):
    """The wall clock, as the test sets it."""
    clock = types.SimpleNamespace(now=time.time())
    monkeypatch.setattr(time, "time", lambda: clock.now)
    return clock


def test_bound_by_age(file, wall):
    """Jobs that are older than was asked for are forgotten when the next one ends."""
    with closing(filled(file, max_age=100)) as history:
        for name in "abc":
            history.add(job(name))
            wall.now += 60
        assert kept(history, "abc") == "bc"
    with closing(FileHistory(file, max_age=100)) as history:
        history.add(job("d"))
        assert kept(history, "abcd") == "cd"


def test_wall_clock_set_back(file, wall):
    """With the wall clock set back a day the newest jobs are kept still, and their order is."""
    history = filled(file, *map(job, "abc"), max_jobs=4, max_age=3600)
    with closing(history):
        wall.now -= 24 * 3600
        history.add(job("d"))
        history.add(job("e"))
        assert kept(history, "abcde") == "bcde"
    with closing(FileHistory(file, max_jobs=4, max_age=3600)) as history:
        assert kept(history, "abcde") == "bcde"
        history.add(job("f"))
        assert kept(history, "abcdef") == "cdef"


def test_forgotten_is_not_unknown(file):
    """A job that is forgotten, by hand or by a bound, is known to have been, now and later."""
    with closing(filled(file, *map(job, "xabc"), max_jobs=3)) as history:
        history.forget("b")
        assert kept(history, "xabc") == "ac"
    with closing(FileHistory(file)) as history:
        for name in "bx":
            for look in (history.get, history.forget):
                with pytest.raises(ForgottenJob, match=f"{name} has ended and is no") as gone:
                    look(name)
                with pytest.raises(UnknownJob, match="there is no job z") as unknown:
                    look("z")
                assert (gone.value.status, unknown.value.status) == (410, 404)
        assert kept(history, "xabc") == "ac"


def test_find(file):
    """A job is found by the beginning of its id, whether it is kept, alive or forgotten."""
    ids = [32 * digit for digit in "0af"]
    with closing(filled(file, *map(job, ids[:2]))) as history:
        history.forget(ids[0])
        history.track(job(ids[2], state=State.RUNNING))
        for _ in range(2):
            assert [history.find(id[:16]) for id in ids] == ids
            assert history.find(16 * "b") is None
            history.close()
            history = FileHistory(file)
        history.close()


# How it is written


class Disk:
    """What sqlite does to the disk, as its trace tells: each commit, when it is about to be."""

    def __init__(self):
        self.writes, self.connections = [], []
        self.synchronous, self.changes = None, 0
        self.works, self.waits = threading.Event(), threading.Event()
        self.works.set()

    def trace(self, sql):
        self.synchronous = (re.findall(r"synchronous\s*=\s*(\w+)", sql) or [self.synchronous])[0]
        try:
            changes = self.connections[-1].total_changes
        except sqlite3.ProgrammingError:  # it is being closed; CPython would not tell
            return
        if sql.startswith("COMMIT") and changes > self.changes:
            self.changes = changes
            self.writes.append(self.synchronous)
            self.waits.set()
            self.works.wait(WAIT)
            self.waits.clear()


@pytest.fixture
def disk(monkeypatch):
    disk, connect = Disk(), sqlite3.connect

    def traced(*args, **options):
        db = connect(*args, **options)
        disk.changes = 0
        disk.connections.append(db)
        db.set_trace_callback(disk.trace)
        return db

    monkeypatch.setattr(sqlite3, "connect", traced)
    yield disk
    disk.works.set()


def test_no_write_for_each_report(file, disk, reporter):
    """A job is written when it starts, once a second if it has changed, and at its end.

    Only the end waits for the disk.
    """
    clock, history = SetClock(), FileHistory(file)
    disk.writes.clear()
    with closing(LongOperation(reporter, history=history, clock=clock)) as operation:
        job = operation.start()
        clock.settle()
        assert disk.writes in (["NORMAL"], 2 * ["NORMAL"])  # by the start, by the run, or both
        disk.writes.clear()
        for number in range(40):
            reporter.report(number)
            clock.advance(0.25)
            assert len(disk.writes) == (number + 1) // 4
        for _ in range(40):
            clock.advance(0.25)
        assert disk.writes == 10 * ["NORMAL"]
        reporter.todo.put("end")
        job.result(WAIT)
        assert disk.writes == 10 * ["NORMAL"] + ["FULL"]


def test_first_report_is_written(file, reporter):
    """A report that comes as soon as the job runs is written as any other one."""

    class LateGuard(SetClock):
        def now(self):
            if threading.current_thread().name.startswith("longop-guard"):
                assert reported.wait(WAIT)
            return self.time

    reported, clock = threading.Event(), LateGuard()
    with closing(LongOperation(reporter, history=file, clock=clock)) as operation:
        job = operation.start()
        reporter.report("loading, which takes long")
        reported.set()
        clock.advance(1)
        left = copy(file)
        reporter.todo.put("end")
        job.result(WAIT)
    with closing(FileHistory(left)) as history:
        assert history.get(job.id).result == "loading, which takes long"


def test_reports_of_what_does_not_stop_are_written(file, reporter):
    """What a job reports that was told to stop, and does not, is written as before."""

    def function(callback):
        def swallowing(report):
            with contextlib.suppress(OperationCancelled):
                callback(report)

        reporter(swallowing)

    clock = SetClock()
    with closing(LongOperation(function, history=file, clock=clock)) as operation:
        job = operation.start()
        clock.settle()
        job.cancel()
        reporter.report("it goes on")

        def is_written():
            clock.time += 1
            return any(b"it goes on" in part.read_bytes() for part in file.parent.iterdir())

        try:
            wait_until(is_written)
        finally:
            reporter.todo.put("end")
        assert end_of(job).state is State.CANCELLED


def test_late_write_of_a_running_job(file):
    """What is written of a running job once it has ended changes nothing, even if it is gone."""
    with closing(filled(file, *map(job, "abc"), max_jobs=2)) as history:
        history.forget("b")
        for name in "abc":
            history.track(job(name, "late", State.RUNNING))
            history.start(job(name, "late", State.QUEUED), {"n": 1}, waits=False)
        assert kept(history, "abc") == "c"
    with closing(FileHistory(file)) as history:
        assert kept(history, "abc") == "c"
        assert history.get("c") == job("c")


def in_time(call, *args):
    """Return what a call returns, if it does so soon."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(call, *args).result(2)
    finally:
        pool.shutdown(wait=False)


@pytest.mark.parametrize("meanwhile", [
    "nothing", "start", "start_once", "cancel", "status", "jobs", "forget"])
def test_slow_disk(file, disk, meanwhile):
    """While the disk is slow what runs is shown and cancelled, and nobody sees an end too early.

    Nor does it matter what else is asked of the operation meanwhile.
    """
    gates, told = {name: threading.Event() for name in "abc"}, []

    def function(callback, name):
        callback(name)
        assert gates[name].wait(WAIT)
        return name

    with closing(LongOperation(function, limit=2, history=file)) as operation:
        gates["a"].set()
        ended = operation.start(name="a")
        ended.result(WAIT)
        running, ending, queued = (operation.start(name=name) for name in "bca")
        wait_until(lambda: running.status().result and ending.status().result)
        ending.add_done_callback(told.append)
        disk.works.clear()
        try:
            gates["c"].set()
            assert disk.waits.wait(WAIT)
            other = ThreadPoolExecutor(1).submit({
                "nothing": lambda: None, "start": lambda: operation.start(name="a"),
                "start_once": lambda: operation.start_once("key", name="a"),
                "cancel": queued.cancel, "status": lambda: operation.status(ended.id),
                "jobs": operation.jobs, "forget": lambda: operation.forget(ended.id)}[meanwhile])
            wait([other], 0.1)  # it may have to wait for the disk; the others must not
            assert in_time(operation.status, running.id).result == "b"
            assert in_time(running.status).state is State.RUNNING
            assert in_time(running.cancel)
            for status in in_time(ending.status), in_time(operation.status, ending.id):
                assert status.state is State.RUNNING
            assert not ending.done()
            assert not told
        finally:
            disk.works.set()
            gates["b"].set()
        assert ending.result(WAIT) == "c"
        wait_until(lambda: told == [ending])
        other.result(WAIT)


# What goes wrong


@contextlib.contextmanager
def unprivileged():
    """Be somebody who may not write everywhere, if this is root."""
    is_root = hasattr(os, "getuid") and os.getuid() == 0
    if is_root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if is_root:
            os.setresuid(0, 0, 0)


def make_text(file):
    file.write_text("this is no database\n" * 100)
    return "file is not a database"


def make_another_programs(file):
    with closing(sqlite3.connect(str(file))) as db, db:
        db.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, salary INTEGER)")
    return "it is the database of another program"


def make_folder(file):
    file.mkdir()
    return "open .*database"


def make_missing_folder(file):
    file.parent.rmdir()
    return "open .*database"


def make_read_only(file):
    filled(file, job("a")).close()
    file.chmod(0o444)
    return "read-?only|may not|denied"


def make_read_only_folder(file):
    filled(file, job("a")).close()
    file.parent.chmod(0o555)
    return "read-?only|may not|denied|unable to open"


def make_torn(file):
    filled(file, *(job(name, 100_000 * name) for name in "abc")).close()
    os.truncate(str(file), 100_000)
    return "malformed"


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="permissions are another thing here")
@pytest.mark.parametrize("make", [
    make_text, make_another_programs, make_folder, make_missing_folder, make_read_only,
    make_read_only_folder, make_torn], ids=lambda make: make.__name__[5:])
def test_file_that_cannot_be_used(make):
    """A file that cannot be used is one clear line where it is given, and is left as it was."""
    with tempfile.TemporaryDirectory() as folder:  # for pytest's own are closed to others
        os.chmod(folder, 0o777)
        file = Path(folder, "kept", "history.sqlite3")
        with unprivileged():
            file.parent.mkdir()
            why = make(file)
            before = file.read_bytes() if file.is_file() else None
            for opening in FileHistory, lambda file: LongOperation(
                    end_of, callback=False, history=file):
                with pytest.raises(HistoryError, match=why) as info:
                    opening(str(file))
                assert str(info.value).startswith(f"cannot keep the history in {file}: ")
                assert len(str(info.value).splitlines()) == 1
            assert before == (file.read_bytes() if file.is_file() else None)
            if file.parent.exists():
                file.parent.chmod(0o755)


@pytest.mark.parametrize("is_new", [True, False])
def test_second_server(file, is_new):
    """A file that another server uses is refused, and that server goes on."""
    if not is_new:
        filled(file).close()
    with closing(filled(file, job("a"))) as history:
        with pytest.raises(HistoryError, match="another server uses it"):
            FileHistory(file)
        script = "import sys; from longop.archive import FileHistory; FileHistory(sys.argv[1])"
        done = subprocess.run([sys.executable, "-c", script, str(file)], cwd=str(ROOT),
                              stderr=subprocess.PIPE, timeout=WAIT)
        assert done.returncode == 1
        assert b"another server uses it" in done.stderr.splitlines()[-1]
        history.add(job("b"))
        assert kept(history, "ab") == "ab"
    with closing(FileHistory(file)) as history:
        assert kept(history, "ab") == "ab"


@contextlib.contextmanager
def no_space(disk):
    """Let the disk be full, so far as sqlite is concerned."""
    db = disk.connections[-1]
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")
    yield
    db.execute("PRAGMA max_page_count = 1000000")


@contextlib.contextmanager
def no_writing(disk):
    """Let whatever is written to a file fail."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # Python ignores the signal
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("after", ["another job", "close"])
@pytest.mark.parametrize("full", [no_space, no_writing])
def test_full_disk(file, disk, caplog, full, after):
    """What ends while the disk is full is remembered, with one error, and written afterwards."""

    def function(callback, name):
        callback("half")
        return 100_000 * name

    with closing(LongOperation(function, history=file)) as operation:
        ids = [end_of(operation.start(name="a")).id]
        with full(disk):
            for name in "bc":
                status = end_of(operation.start(name=name))
                assert (status.state, status.result) == (State.COMPLETED, 100_000 * name)
                assert operation.status(status.id) == status
                ids.append(status.id)
            assert [status.id for status in operation.jobs()] == ids[::-1]
            errors = [record for record in caplog.records if record.levelname == "ERROR"]
            assert [record.exc_info for record in errors] == [None] * len(errors)
            assert f"cannot write the history {file}" in errors[0].getMessage()
            assert len(errors) == 1 or full is no_space  # in which what is small has room
        if after == "another job":
            ids.append(end_of(operation.start(name="d")).id)
            left = copy(file)
    if after == "close":
        left = file
    check(left)
    with closing(LongOperation(function, history=left)) as operation:
        assert [status.id for status in operation.jobs()] == ids[::-1]
        assert [operation.status(id).result for id in ids] == [
            100_000 * name for name in "abcd"[:len(ids)]]


def test_result_that_is_larger_than_the_disk(file, disk, caplog):
    """A result for which the disk has no room keeps no other one out of the file."""
    with closing(filled(file, *map(job, "ab"))) as history:
        with no_space(disk):
            history.add(job("large", 10**6 * "x"))
            assert "disk is full" in caplog.text
            history.add(job("c"))
            left = copy(file)
        assert [len(history.get(id).result or "") for id in ("b", "large", "c")] == [0, 10**6, 0]
    with closing(FileHistory(left)) as history:
        assert history.get("c") == job("c")


def delete_file(file):
    file.unlink()


def delete_all(file):
    for part in file.parent.iterdir():
        part.unlink()


@DELETIONS
@pytest.mark.parametrize("delete", [delete_file, delete_all])
def test_deleted_file(file, caplog, delete):
    """A file that is deleted under the server is written anew, with all that was in it."""
    with closing(filled(file, *map(job, "xab"), max_jobs=2)) as history:
        history.track(job("r", "last report", State.RUNNING))
        delete(file)
        assert kept(history, "xab") == "ab"
        history.add(job("c"))
        assert "was deleted and is written again" in caplog.text
        lefts = [copy(file)]
        history.add(job("d"))
        lefts.append(copy(file))
        assert kept(history, "abcd") == "cd"
    assert len(caplog.records) == 1
    for left, names, expected in (lefts[0], "xabcr", "bcr"), (lefts[1], "xabcdr", "cdr"), (
            file, "xabcdr", "cdr"):
        check(left)
        with closing(FileHistory(left)) as history:
            assert kept(history, names) == expected
            assert history.get("r").state is State.INTERRUPTED


@DELETIONS
def test_deleted_file_and_a_full_disk(file, disk):
    """A file that is deleted, and cannot be written anew at once, is written later."""
    with closing(filled(file, *map(job, "ab"))) as history:
        file.unlink()
        with no_writing(disk):
            history.add(job("c"))
            assert kept(history, "abc") == "abc"
        history.add(job("d"))
        left = copy(file)
        assert kept(history, "abcd") == "abcd"
    check(left)
    with closing(FileHistory(left)) as history:
        assert kept(history, "abcd") == "abcd"


@DELETIONS
def test_deleted_folder(file):
    """What is in a file whose folder is gone is known still, and written once there is one."""
    with closing(filled(file, *map(job, "ab"))) as history:
        shutil.rmtree(str(file.parent))
        for name in "cd":
            history.add(job(name))
        assert kept(history, "abcd") == "abcd"
        file.parent.mkdir()
        history.add(job("e"))
        assert kept(history, "abcde") == "abcde"
    with closing(FileHistory(file)) as history:
        assert kept(history, "abcde") == "abcde"


# Shared, and asked again


def test_two_operations_share_a_file(file):
    """Of two operations with one file each lists its own jobs, and finds those of both."""
    history = FileHistory(file)
    one, two = (LongOperation(lambda callback, n: n, history=history, name=name)
                for name in ("one", "two"))
    jobs = [end_of(operation.start(n=n)) for n, operation in enumerate((one, two, one, two))]
    close_all([one, two])
    history = FileHistory(file)
    one, two = one.replace(history=history), two.replace(history=history)
    for operation, own in (one, jobs[0::2]), (two, jobs[1::2]):
        assert [status.id for status in operation.jobs()] == [status.id for status in own[::-1]]
        assert [operation.status(status.id) for status in jobs] == jobs
    close_all([one, two])


def test_the_same_operation_with_other_options(file):
    """What `but` makes of an operation keeps its jobs in the same file."""
    with closing(LongOperation(lambda callback: "value", history=file)) as operation, closing(
            operation.replace(limit=2)) as other:
        job = other.start()
        assert job.result(WAIT) == "value"
    with closing(FileHistory(file)) as history:
        assert history.get(job.id).result == "value"


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_file_of_a_script(tmp_path, executor):
    """A script may say where the history is kept, though its processes import it as well."""
    (tmp_path / "script.py").write_text(
        "import longop\n"
        f"@longop.long_operation(history='history.sqlite3', executor={executor!r})\n"
        "def work(callback):\n"
        "    return 'value'\n"
        "if __name__ == '__main__':\n"
        "    print(work.start().result())\n"
        "    work.close()\n")
    done = subprocess.run([sys.executable, "script.py"], cwd=str(tmp_path), capture_output=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=WAIT, text=True)
    assert (done.stdout, done.stderr) == ("value\n", "")
    with closing(FileHistory(tmp_path / "history.sqlite3")) as history:
        assert [status.state for status in history] == [State.COMPLETED]


def test_start_once_after_a_restart(file):
    """A key is known after a restart: the job is the same one, and other parameters are refused."""
    calls = []

    def function(callback, n):
        calls.append(n)
        callback("half")
        if n < 0:
            raise ValueError("negative")
        return n

    with closing(LongOperation(function, history=file)) as operation:
        good, bad = operation.start_once("good", n=1), operation.start_once("bad", n=-1)
        ends = [end_of(good), end_of(bad)]
        forgotten = operation.start_once("forgotten", n=2)
        forgotten.result(WAIT)
        operation.forget(forgotten.id)
    with closing(LongOperation(function, history=file)) as operation:
        again = [operation.start_once("good", n=1), operation.start_once("bad", n=-1)]
        assert all(job.done() for job in again)
        assert [job.status() for job in again] == ends
        assert again[0].result(0) == 1
        with pytest.raises(LongOperationError, match="ValueError: negative"):
            again[1].result(0)
        with pytest.raises(KeyReused, match=good.id):
            operation.start_once("good", n=2)
        with pytest.raises(ForgottenJob):
            operation.start_once("forgotten", n=2)
        assert calls == [1, -1, 2]
        assert operation.start_once("new", n=3).result(WAIT) == 3


def test_start_once_after_a_power_cut(file, reporter):
    """A job that was interrupted is not run again for its key; it is said to be interrupted."""
    with closing(LongOperation(reporter, history=file)) as operation:
        job = operation.start_once("key", name="x")
        left = copy(file)
        reporter.todo.put("end")
        job.result(WAIT)
    with closing(LongOperation(reporter, history=left)) as operation:
        again = operation.start_once("key", name="x")
        assert (again.id, again.state) == (job.id, State.INTERRUPTED)
        with pytest.raises(CancelledError):
            again.result(0)


@pytest.mark.parametrize("ask", [
    lambda history, name: history.get(name), lambda history, name: history.find(name[:16]),
    lambda history, name: history.parameters(name), lambda history, name: history.extras(name),
    lambda history, name: history.page(Wanted(NAMES, 5))],
    ids=["get", "find", "parameters", "extras", "page"])
def test_a_large_history_takes_no_more_steps(file, tmp_path, ask):
    """A job is found among 10,000 in the steps of sqlite's machine that it takes among 10."""
    small, large = file, tmp_path / "large.sqlite3"
    jobs = [job(f"{number:016x}{number:016x}", created=f"2026-01-01T00:00:00.{number:06}Z")
            for number in range(10_000)]
    filled(small, *jobs[:10]).close()
    shutil.copy(str(small), str(large))
    with closing(sqlite3.connect(str(large))) as db, db:
        for place, one in enumerate(jobs[10:], 11):
            statement, *values = tables.saved(
                one, *tables.texts(one), place, 1_000 * place, 0.0, *tables.listed(one), None, None)
            db.execute(statement, values)
    steps = []
    for path, last in (small, jobs[9]), (large, jobs[-1]):
        with closing(FileHistory(path)) as history:
            assert history.get(last.id) == last
            done = []
            # It returns 0, or the query is interrupted.
            history._db.open().set_progress_handler(lambda done=done: done.append(1) or 0, 1)
            ask(history, last.id)
            steps.append(len(done))
    few, many = steps
    assert 0 < many <= few + 5


def test_parameters(tmp_path):
    """Small parameters of a job are known, of a quick one too; uploads and large ones are not."""
    def function(callback, text: str = "", data: bytes = b""):
        return len(text)

    with closing(FileHistory(tmp_path / "history")) as history:
        operation = LongOperation(function, history=history)
        for values, known in (({"text": "a", "data": b"secret"}, {"text": "a"}),
                              ({"text": "x" * 5_000}, None)):
            job = operation.start(**values)
            job.result(WAIT)
            assert operation.parameters(job.id) == known


@DELETIONS
def test_salt_is_kept_in_the_file(file):
    """The salt of a file is random, stays the same, and outlives a file deleted while in use."""
    with closing(filled(file, job("a"))) as history:
        salt = history.salt
        assert (type(salt), len(salt)) == (bytes, 16)
        delete_file(file)
        history.add(job("b"))
    with closing(FileHistory(file)) as history:
        assert history.salt == salt
    with closing(FileHistory(file.with_name("other"))) as history:
        assert history.salt != salt


def test_file_of_an_older_version_gets_a_salt(file):
    """A file that has no salt yet is given one, and its jobs stay."""
    filled(file, job("a")).close()
    with closing(sqlite3.connect(str(file))) as db:
        db.execute("PRAGMA user_version = 0")
        db.execute("DROP TABLE settings")
    salts = []
    for _ in range(2):
        with closing(FileHistory(file)) as history:
            salts.append(history.salt)
            assert kept(history, "a") == "a"
    assert len(salts[0]) == 16
    assert salts[0] == salts[1]


def stored(file):
    """Return how many bytes the files of a history take."""
    return sum(part.stat().st_size for part in file.parent.iterdir())


@pytest.mark.parametrize("requeue", [False, True])
def test_large_parameters_are_stored_only_to_be_requeued(file, reporter, requeue):
    """A waiting job's large parameters are in the file only if it is to wait again."""
    def function(callback, data: bytes = b"", text: str = "", number: int = 0):
        reporter(callback)
        return len(data), len(text), number

    given = [{"data": bytes(10**6), "number": 1}, {"text": 10**6 * "x"}, {"number": 3}]
    history = FileHistory(file, requeue=requeue)
    with closing(LongOperation(function, history=history, name="waits")) as operation:
        operation.start()
        jobs = [operation.start(**parameters) for parameters in given]
        assert (stored(file) > 2 * 10**6) is requeue
        known = [operation.parameters(job.id) for job in jobs]
        assert known == [{"number": 1}, None, {"number": 3}]
        left = copy(file)
        for _ in range(4):
            reporter.todo.put("end")
        jobs[-1].result(WAIT)
    history = FileHistory(left, requeue=True)
    with closing(LongOperation(function, history=history, name="waits")) as operation:
        again = [operation.live[job.id] for job in jobs if job.id in operation.live]
        for _ in again:
            reporter.todo.put("end")
        ends = [end_of(job) for job in again]
        expected = [job.status().result for job in jobs if requeue or job is jobs[-1]]
        assert [tuple(end.result) for end in ends] == expected
        for job in jobs:
            if job.id not in {end.id for end in ends}:
                assert operation.status(job.id).state is State.INTERRUPTED
        assert [operation.parameters(job.id) for job in jobs] == known


def test_parameters_of_an_older_version(file):
    """A file whose jobs have no column for what is shown gets it, with the small parameters."""
    filled(file, *map(job, "ab")).close()
    with closing(sqlite3.connect(str(file))) as db, db:
        db.execute("PRAGMA user_version = 0")
        db.execute("ALTER TABLE jobs RENAME TO new_jobs")
        db.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, place INTEGER, total INTEGER, at REAL,"
                   " status TEXT, result TEXT, parameters TEXT)")
        db.execute("INSERT INTO jobs SELECT id, place, total, at, status, result, "
                   "CASE id WHEN 'a' THEN ? ELSE ? END FROM new_jobs",
                   (dumps({"n": 1}), dumps({"text": "x" * 5_000})))
        db.execute("DROP TABLE new_jobs")
    for _ in range(2):
        with closing(FileHistory(file)) as history:
            assert kept(history, "ab") == "ab"
            assert [history.parameters(id) for id in "ab"] == [{"n": 1}, None]
