"""Jobs in processes of their own: the same as in a thread, and what only processes do.

The functions are in ``far``; the ladder of a cancel is in ``test_processes_ladder``.
"""

import contextlib
import functools
import gc
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
import types
from concurrent.futures import CancelledError, wait
from pathlib import Path

import pytest

from longop import Busy, History, LongOperation, LongOperationError, State, TargetError
from longop.errors import WorkerLost
from longop.workers.process import WorkerProcess

from . import far
from .far import is_alive
from ..waiting import WAIT, end_of, wait_until
from ..windows import FORKS, SIGNALS

ROOT = Path(__file__).parent.parent.parent
BOTH = pytest.mark.parametrize("executor", ["thread", "process"])
#: Jobs in threads that race; a multiple of 16.
MANY = 10_000 if os.environ.get("LONGOP_INTEROP") else 2_000


def descriptors():
    """Return how many files this process has open, if that can be known."""
    is_known = sys.platform != "win32" and os.path.isdir("/proc/self/fd")
    return len(os.listdir("/proc/self/fd")) if is_known else 0


def run_script(folder, text):
    """Run a script to its end; return what it printed and what it complained about."""
    (folder / "script.py").write_text(text)
    done = subprocess.run([sys.executable, "script.py"], cwd=str(folder), timeout=3 * WAIT,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
                          text=True)
    return done.stdout, done.stderr


# The same as in a thread




@BOTH
@pytest.mark.parametrize(("function", "options", "expected"), [
    (far.plain, {}, (6, 3, 3, "at 3")),
    (far.says_nothing_at_the_end, {}, ("step 3", 3, 3, "at 3")),
    (far.generator, {}, (6, 3, None, None)),
    (far.async_generator, {}, ("step 3", 3, None, None)),
    (far.coroutine, {}, (6, 3, 3, "at 3")),
    (far.adapted, {"report": far.how_many_are_left}, (6, 3, 3, None)),
    (functools.partial(far.plain, word="step"), {}, (6, 3, 3, "at 3")),
    (far.Painter(), {}, (6, 3, 3, "at 3")),
    (far.Painter().paint, {}, (6, 3, 3, "at 3"))])
def test_shapes(make, executor, function, options, expected):
    """A function of any shape has the same reports and the same value, wherever it runs."""
    job = make(function, executor, **options).start(n=3)
    status = end_of(job)
    assert (status.state, status.error, status.progress) == (State.COMPLETED, None, 1.0)
    assert (status.result, status.step, status.total, status.message) == expected
    assert job.result(0) == expected[0]


@BOTH
def test_decorated(executor):
    """A function that is decorated where it is defined is found in the process too."""
    operation = far.decorated.replace(executor=executor)
    with contextlib.closing(operation):
        assert operation.start(n=3).result(WAIT) == 6
    assert far.decorated(lambda *report: None, n=4) == 8
    assert (operation.name, far.decorated.name) == ("another name", "another name")


def test_decorated_as_it_is():
    """A function that is decorated with ``executor="process"`` runs in one."""
    with contextlib.closing(far.decorated):
        assert far.decorated.start(n=3).result(WAIT) == 6


@BOTH
def test_reports_are_seen_as_they_come(make, executor, tmp_path):
    """A report is seen while the function runs, before the next one."""
    seen = []
    for status in make(far.gated, executor).start(folder=str(tmp_path)).updates():
        if status.state is State.RUNNING and status.step:
            seen.append((status.result, status.step, status.total))
            (tmp_path / str(status.step)).touch()
    assert seen == [("step 1", 1, 3), ("step 2", 2, 3), ("step 3", 3, 3)]
    assert (status.state, status.result) == (State.COMPLETED, "value")


@BOTH
@pytest.mark.parametrize("value", [
    b"\0\xff", {1, 2}, {"a": [None, 1.5, (True, "\u20ac")]}, float, Path("x"), far.Wrong],
    ids=repr)
def test_parameters_and_values(make, executor, value):
    """Parameters and values arrive as they are, not as JSON would show them."""
    result = make(far.echo, executor).start(value=value).result(WAIT)
    assert (result, type(result)) == (value, type(value))


@BOTH
@pytest.mark.parametrize("function", [
    far.reports, far.checks, far.sleeps, far.yields, far.awaits])
def test_cancel(make, executor, function, tmp_path):
    """A cancel takes hold in the function, which cleans up; what it had reported is kept."""
    job = make(function, executor, grace=60).start(trace=str(tmp_path / "trace"))
    wait_until(lambda: job.status().result == "partial")
    assert job.cancel()
    status = end_of(job)
    assert (status.state, status.result, status.error) == (State.CANCELLED, "partial", None)
    assert status.stop_reason == "cancelled"
    assert (tmp_path / "trace").exists()
    with pytest.raises(CancelledError):
        job.result(0)


@BOTH
def test_cancel_before_the_code_has_begun(make, executor, tmp_path):
    """A cancel that comes before a process is up takes hold at the first report."""
    operation = make(far.reports, executor, grace=60)
    job = operation.start(trace=str(tmp_path / "trace"))
    job.cancel()
    assert end_of(job).state is State.CANCELLED


@BOTH
def test_error(make, executor):
    """An error is the one that was raised, with what it holds; the log says where it was."""
    job = make(far.fail, executor).start(kind="Wrong")
    status = end_of(job)
    assert (status.state, status.stop_reason) == (State.FAILED, "error")
    assert (status.result, status.progress) == ("partial", 0.5)
    assert status.error == "Wrong: ('wrong', 7)"
    with pytest.raises(far.Wrong) as info:
        job.result(0)
    assert info.value.number == 7


def test_log_says_where_an_error_was(make, caplog):
    """The log has the traceback from the process."""
    make(far.fail).start(kind="Wrong").exception(WAIT)
    assert "in fail\n" in caplog.text
    assert 'tests/workers/far.py", line' in caplog.text.replace(os.sep, "/")


@BOTH
@pytest.mark.parametrize("kind", ["Unpicklable", "Unreadable", "SystemExit"])
def test_error_that_cannot_travel(make, executor, kind):
    """An error that cannot be pickled or read again keeps its name and its text."""
    operation = make(far.fail, executor)
    job = operation.start(kind=kind)
    assert end_of(job).error == f"{kind}: {3 if kind == 'SystemExit' else 'wrong'}"
    assert type(job.exception(0)).__name__ == kind
    assert end_of(operation.start(kind="Wrong")).error.startswith("Wrong")


@BOTH
@pytest.mark.parametrize("kind", ["set", "complex"])
def test_value_that_is_no_json(make, executor, kind):
    """A value that JSON cannot hold arrives in Python as it is."""
    assert make(far.value, executor).start(kind=kind).result(WAIT) == {"set": {1},
                                                                      "complex": 1j}[kind]


def test_value_that_cannot_be_pickled(make):
    """A value that cannot be pickled arrives as JSON would show it."""
    result = make(far.value).start(kind="lock").result(WAIT)
    assert result[0].startswith("<unlocked _thread.lock")
    assert result[1] == 1


@pytest.mark.parametrize("kind", ["lock", "unreadable"])
def test_message_that_cannot_travel(make, kind, caplog):
    """A message that cannot be sent or read spoils neither the other parts nor the error."""
    operation = make(far.report_and_fail)
    job = operation.start(kind=kind)
    status = end_of(job)
    assert status.error == "Wrong: ('wrong', 7)"
    assert type(job.exception(0)) is far.Wrong
    assert (status.result, status.step, status.total) == ((1, 2), {1}, 3)
    assert isinstance(status.message, (str, list))
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert all("its message could not be sent as it is: " in text for text in warned)
    assert 1 <= len(warned) <= 2  # once for the reports, however many, and once for the outcome


def test_value_that_cannot_be_read(make):
    """A value that can be pickled but not read again arrives as JSON; the next job works."""
    operation = make(far.value)
    assert operation.start(kind="unreadable").result(WAIT).startswith("<tests.workers.far.Unread")
    assert operation.start(kind="set").result(WAIT) == {1}


# Warm processes


def test_warm_process_is_reused(make):
    """One process makes all calls, and keeps what it has loaded."""
    operation = make(far.load)
    first = operation.start().result(WAIT)
    assert first != [os.getpid()]
    assert [operation.start().result(WAIT) for _ in range(2)] == [2 * first, 3 * first]


def test_process_outlives_errors_and_cancels(make, tmp_path):
    """A function that raises, exits or is cancelled costs no process."""
    operation = make(far.fail)
    far_pid = []
    for kind in "Wrong", "SystemExit", "Wrong":
        end_of(operation.start(kind=kind))
        far_pid.append([process.pid for process in multiprocessing.active_children()])
    assert far_pid == 3 * far_pid[:1]
    operation = make(far.reports, grace=60)
    for _ in range(2):
        job = operation.start(trace=str(tmp_path / "trace"))
        wait_until(lambda job=job: job.status().result)
        job.cancel()
        assert end_of(job).state is State.CANCELLED
        far_pid.append([process.pid for process in multiprocessing.active_children()])
    assert far_pid[-1] == far_pid[-2]
    assert len(far_pid[-1]) == 2


def test_as_many_processes_as_jobs_at_once(make, tmp_path):
    """Jobs that run at the same time have one process each, and no further one is started."""
    operation = make(far.never_reports, limit=3)
    for turn in "first", "second":
        jobs = [operation.start(pid_file=str(tmp_path / f"{turn}{number}"),
                                leave=str(tmp_path / turn)) for number in range(3)]
        wait_until(lambda turn=turn: len(list(tmp_path.glob(f"{turn}?"))) == 3)
        (tmp_path / turn).touch()
        assert [job.result(WAIT) for job in jobs] == 3 * ["value"]
    pids = [{path.read_text() for path in tmp_path.glob(f"{turn}?")} for turn in
            ("first", "second")]
    assert pids[0] == pids[1]
    assert len(pids[0]) == 3


@SIGNALS
def test_killed_between_two_jobs(make):
    """A process that was killed while it had nothing to do is replaced."""
    operation = make(far.pid)
    pid = operation.start().result(WAIT)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: multiprocessing.active_children() == [])
    assert operation.start().result(WAIT) not in (pid, os.getpid())


def test_never_a_fork(make, monkeypatch):
    """A process is a fresh interpreter, no copy of this one with its threads and its locks."""
    monkeypatch.setattr(far, "SETTING", "changed")
    assert make(far.setting).start().result(WAIT) == ("as imported", "tests.workers.far")


# Functions that cannot run in another process


def nested():
    def inner(callback):
        pass

    return inner


@pytest.mark.parametrize(("function", "options"), [
    (lambda callback: None, {}), (nested(), {}), (functools.partial(nested()), {}),
    (far.plain, {"report": lambda *report: {}}),
    (far.until_stopped, {"cancel": lambda: None})],
    ids=["lambda", "nested", "partial", "report", "companion"])
def test_function_without_a_name(make, function, options):
    """A function that cannot be imported by its name is an error at the start."""
    operation = make(function, **options)
    parameters = {"n": 1} if function is far.plain else {}
    for _ in range(2):
        with pytest.raises(TargetError, match="cannot run in another process"):
            operation.start(**parameters)
    assert operation.jobs() == []
    assert multiprocessing.active_children() == []


def test_module_that_cannot_be_imported(make, monkeypatch):
    """A function of a module that only this process has is an error at the start."""
    module = types.ModuleType("made_up")
    exec("def function(callback): pass", vars(module))
    monkeypatch.setitem(sys.modules, "made_up", module)
    operation = make(module.function)
    for _ in range(2):
        with pytest.raises(TargetError, match="No module named 'made_up'"):
            operation.start()
    assert operation.jobs() == []
    assert multiprocessing.active_children() == []


def test_parameter_that_cannot_be_pickled(make):
    """A parameter that cannot be pickled is an error at the start that says so."""
    operation = make(far.echo)
    for _ in range(2):
        with pytest.raises(LongOperationError, match=r"pickle .*_thread\.lock"):
            operation.start(value=threading.Lock())
    assert operation.jobs() == []
    assert operation.start(value=1).result(WAIT) == 1


def test_parameter_that_cannot_be_read(make):
    """A parameter that can be pickled but not read is an error; the next job works."""
    operation = make(far.echo)
    assert operation.start(value=1).result(WAIT) == 1
    assert "invalid literal" in end_of(operation.start(value=far.UnreadableValue())).error
    assert operation.start(value=2).result(WAIT) == 2


SCRIPT = """
import longop, os

def work(callback, n):
    callback("reported")
    return n, os.getpid(), __name__

def main():
    operation = longop.LongOperation(work, executor="process")
    n, pid, name = operation.start(n=3).result(10)
    print(n, pid != os.getpid(), name)
"""


def test_module_that_exits(make, monkeypatch, tmp_path):
    """A function of a module that exits in another process is an error at the start."""
    (tmp_path / "exits.py").write_text("raise SystemExit('not here')")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = types.ModuleType("exits")
    exec("def function(callback): pass", vars(module))
    monkeypatch.setitem(sys.modules, "exits", module)
    operation = make(module.function)
    with pytest.raises(TargetError, match="not here"):
        operation.start()


def test_no_process_can_be_started(make, monkeypatch):
    """Where no process can be started, that is what is said, at the start and later."""
    def fail(process):
        raise OSError(24, "Too many open files")

    operation = make(far.pid, limit=2)
    monkeypatch.setattr(WorkerProcess, "__init__", fail)
    for _ in range(2):
        with pytest.raises(LongOperationError) as info:
            operation.start()
        assert type(info.value) is LongOperationError
        assert str(info.value) == (
            "no process could be started: [Errno 24] Too many open files")
    operation._dispatcher.backend._is_checked = True
    assert "no process could be started: [Errno 24]" in end_of(operation.start()).error


@SIGNALS
def test_process_that_is_killed_at_its_check(make, monkeypatch):
    """A process that dies while it imports the function is not said to lack a name."""
    monkeypatch.setattr("longop.workers.processes._import_in",
                        lambda process, data: os.kill(process._process.pid, signal.SIGKILL)
                        or process.channel.receive())
    with pytest.raises(TargetError, match=r"imported its module, its process was killed by SIGK"):
        make(far.pid).start()


def test_script_with_a_guard(tmp_path):
    """A script that guards its main part has its own functions run in processes."""
    out, err = run_script(tmp_path, f"{SCRIPT}\nif __name__ == '__main__':\n    main()\n")
    assert (out, err) == ("3 True __mp_main__\n", "")


def test_script_without_a_guard(tmp_path):
    """A script that each process would run again is an error that says so, not a hang."""
    out, err = run_script(tmp_path, f"{SCRIPT}\nmain()\n")
    assert out == ""
    assert "if __name__ == '__main__':" in err
    last = err.splitlines()[-1]
    assert last.startswith(
        "longop.errors.TargetError: <LongOperation script/work> cannot run in")
    assert "exit code 1" in last


# Processes that die


@pytest.mark.parametrize(("how", "says"), [
    pytest.param("SIGSEGV", "was killed by SIGSEGV", marks=SIGNALS),
    pytest.param("SIGKILL", "was killed by SIGKILL", marks=SIGNALS),
    pytest.param("SIGTERM", "was killed by SIGTERM", marks=SIGNALS),
    ("exit", "ended with exit code 7")])
def test_process_that_dies(make, how, says):
    """A process that dies is a failure that names the cause; the next job has another one."""
    operation = make(far.die)
    job = operation.start(how=how)
    waiting = operation.start(how=how)
    status = end_of(job)
    assert (status.state, status.stop_reason) == (State.FAILED, "error")
    assert says in status.error
    assert (status.result, status.step) == ("partial", 1)
    assert isinstance(job.exception(0), WorkerLost)
    assert says in end_of(waiting).error


@SIGNALS
def test_many_that_die_at_once(make):
    """Of processes that die at the same time each job names the cause; no file stays open."""
    operation = make(far.die, limit=4)
    end_of(operation.start(how="SIGKILL"))
    files = descriptors()
    jobs = [operation.start(how="SIGKILL") for _ in range(16)]
    assert {end_of(job).error for job in jobs} == {
        "WorkerLost: its process was killed by SIGKILL"}
    assert descriptors() <= files  # though the jobs are here still


@SIGNALS
def test_killed_from_outside(make):
    """A process that is killed from outside is a failure; the next job has a new one."""
    operation = make(far.dozes)
    pids = []
    for _ in range(2):
        job = operation.start()
        wait_until(lambda job=job: job.status().result)
        pids.append(job.status().result)
        os.kill(pids[-1], signal.SIGKILL)
        assert "killed by SIGKILL" in end_of(job).error
    assert pids[0] != pids[1]


@SIGNALS
def test_killed_in_mid_report(make, tmp_path):
    """A process that is killed while it sends a report is a failure, not a hang."""
    let_go = threading.Event()
    job = make(far.die_in_mid_report).start(go=str(tmp_path / "go"))
    job.watch(lambda: let_go.wait(WAIT))  # the thread that reads the reports waits here
    (tmp_path / "go").touch()
    wait_until(lambda: job.status().result)
    wait_until(lambda: not is_alive(job.status().result))
    let_go.set()
    status = end_of(job)
    assert (status.state, status.step) == (State.FAILED, 1)
    assert "killed by SIGKILL" in status.error


def test_function_with_processes_of_its_own(make):
    """A function may have processes of its own, with ``multiprocessing`` too."""
    assert make(far.pool).start().result(WAIT) == 1


@FORKS
@pytest.mark.parametrize("copy", ["returns", "lingers"])
def test_function_that_forks(make, copy):
    """A fork has no part in its job or the next one, and is gone at the end."""
    operation = make(far.fork)
    copies = [operation.start(copy=copy).result(WAIT) for _ in range(3)]
    assert [type(pid) for pid in copies] == 3 * [int]
    assert len(multiprocessing.active_children()) == 1
    operation.close()
    wait_until(lambda: not any(map(is_alive, copies)))


@FORKS
def test_process_that_dies_and_leaves_a_copy(make):
    """A process that dies is a failure at once, though a fork lives; the fork is killed."""
    operation = make(far.fork_and_die)
    job = operation.start()
    assert "exit code 7" in end_of(job).error
    wait_until(lambda: not is_alive(job.status().result))


def test_talks_a_lot(make, capfd, monkeypatch):
    """Everything a function prints is on this process's output when its job has ended."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    operation = make(far.talk)
    for size in 10_000_000, 5:
        operation.start(size=size).result(WAIT)
        assert capfd.readouterr().out == size * "x" + os.linesep


@pytest.mark.parametrize("how", ["object", "descriptor"])
def test_closes_its_stdout(make, how, monkeypatch):
    """A function that closes its own output loses nothing else, and the process is kept."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    operation = make(far.close_stdout)
    pid = operation.start(how=how).result(WAIT)
    assert operation.start(how="not at all").result(WAIT) == pid


@pytest.mark.slow
def test_large_value_and_large_parameter(make):
    """A value of 200 MB and a parameter of 30 MB go through."""
    assert len(make(far.megabytes).start(n=200).result(3 * WAIT)) == 200_000_000
    parameter = os.urandom(30_000_000)
    assert make(far.echo).start(value=parameter).result(3 * WAIT) == parameter


# The end


@BOTH
def test_close(make, executor, tmp_path):
    """At the end of an operation running and waiting jobs are interrupted, in this order."""
    operation = make(far.reports, executor)
    jobs = [operation.start(trace=str(tmp_path / str(number))) for number in range(3)]
    wait_until(lambda: jobs[0].status().result)
    operation.close()
    assert [job.state for job in jobs] == 3 * [State.INTERRUPTED]
    assert [job.status().stop_reason for job in jobs] == 3 * ["interrupted"]
    assert jobs[0].status().result == "partial"
    assert [job.status().started_at is None for job in jobs] == [False, True, True]
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    assert multiprocessing.active_children() == []
    with pytest.raises(Busy):
        operation.start(trace="")
    operation.close()  # once more does no harm


@SIGNALS
def test_close_kills(make):
    """At the end of an operation a process that does not stop is killed with its children."""
    operation = make(far.stubborn, grace=0.1)
    job = operation.start(where="in C")
    wait_until(lambda: job.status().result)
    operation.close()
    status = end_of(job)
    assert (status.state, status.stop_reason) == (State.INTERRUPTED, "interrupted")
    assert "SIGKILL" in status.error
    wait_until(lambda: not any(map(is_alive, status.result)))


def test_closed_operation_begins_no_process(make):
    """A start that is refused because its operation was closed begins no process."""
    operation = make(far.pid)
    operation.close()
    with pytest.raises(Busy):
        operation.start()
    assert multiprocessing.active_children() == []


def test_nothing_is_left(make):
    """A closed operation leaves no thread, no process and no open file."""
    left = []
    for _ in range(3):
        operation = make(far.nothing)
        operation.start().result(WAIT)
        operation.close()
        left.append((threading.active_count(), multiprocessing.active_children(),
                     descriptors()))
    assert left[1] == left[2]


def test_last_reference():
    """An operation that is garbage-collected ends its process."""
    operation = LongOperation(far.pid, executor="process")
    pid = operation.start().result(WAIT)
    assert is_alive(pid)
    del operation


    def is_gone():
        gc.collect()
        return not is_alive(pid)

    wait_until(is_gone)


LEAVES = """
import longop, sys, time
from tests.workers import far

if __name__ == "__main__":
    operation = longop.LongOperation(far.dozes, executor="process", limit=2)
    jobs = [operation.start() for _ in range(2)]
    while not all(job.status().result for job in jobs):
        time.sleep(0.01)
    print(*(job.status().result for job in jobs), flush=True)
    if sys.argv[1:] == ["stays"]:
        time.sleep(60)
"""


def test_exit_of_the_interpreter(tmp_path):
    """At the interpreter's exit no process is left behind, though jobs run."""
    out, err = run_script(tmp_path, LEAVES)
    assert err == ""
    pids = [int(pid) for pid in out.split()]
    assert len(pids) == 2
    wait_until(lambda: not any(map(is_alive, pids)))


def test_death_of_the_interpreter(tmp_path):
    """A process whose interpreter is killed ends too."""
    (tmp_path / "script.py").write_text(LEAVES)
    with subprocess.Popen([sys.executable, "script.py", "stays"], cwd=str(tmp_path),
                          env={**os.environ, "PYTHONPATH": str(ROOT)},
                          stdout=subprocess.PIPE) as script:
        pids = [int(pid) for pid in script.stdout.readline().split()]
        script.kill()
    assert len(pids) == 2
    wait_until(lambda: not any(map(is_alive, pids)))


# Costs. The machine may be busy, so the best of several counts.


def test_warm_start_is_fast(make):
    """A job that does nothing takes less than 20 ms from start to result in a warm process."""
    operation = make(far.nothing)
    operation.start().result(WAIT)
    took = []
    for _ in range(20):
        began = time.perf_counter()
        operation.start().result(WAIT)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.02


@pytest.mark.skipif(sys.platform == "win32", reason="its processes do not share a fine clock")
def test_report_is_seen_at_once(make):
    """A report is in the status within 5 ms, even right after another one."""
    job = make(far.tell_the_time).start()
    late = [time.monotonic() - status.result for status in job.updates()
            if isinstance(status.result, float)]
    assert len(late) >= 15
    assert statistics.median(late) < 0.005


@pytest.mark.slow
def test_hail_of_reports(make):
    """10,000 reports a second leave no backlog and cost this process under 10 % of a core."""
    operation = make(far.hail, grace=0.1)
    operation.start(rate=1, seconds=1).result(WAIT)  # its process is warm
    rounds = []
    for _ in range(3):
        late, cost = [], time.process_time()
        job = operation.start(rate=10_000, seconds=2)
        while not job.done():
            time.sleep(0.05)  # how often the report is looked at, not a wait for anything
            if job.running() and job.status().result:
                late.append(time.monotonic() - job.status().result)
        cost = time.process_time() - cost
        rounds.append((cost / job.result(0), statistics.median(late[-10:]), job.result(0)))
        assert job.status().step == 19_999
        if rounds[-1] < (0.1,) and rounds[-1][1] < 0.05 and rounds[-1][2] < 3:
            return
    pytest.fail(f"(cores, seconds late, seconds taken): {rounds}")


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "jobs", "pause", "grace"), [
    ("thread", MANY, 0, 2), ("process", 800, 0.0005, 60), ("process", 160, 0.0005, 0)])
def test_races(make, executor, jobs, pause, grace):
    """Jobs that start and are cancelled at the same time end once each, and leave nothing.

    Without grace each cancel may kill a process: never one that has another job by then.
    """
    with contextlib.closing(make(far.nothing, executor)) as operation:
        operation.start().result(WAIT)  # so that everything permanent is there
    threads, files = threading.active_count(), descriptors()
    operation = make(far.count_to_ten, executor, limit=8, max_queued=jobs, grace=grace,
                     history=History(jobs, 2 ** 30))
    ends, cancelled, barrier = [], [], threading.Barrier(16)

    def race():
        barrier.wait(WAIT)
        for number in range(jobs // 16):
            job = operation.start(pause=pause)
            job.add_done_callback(lambda job: ends.append((job.id, job.state)))
            if number % 3 == 2:  # while it runs, or has just ended
                wait_until(lambda job=job: job.state is not State.QUEUED)
            if number % 3:  # else it is to live
                cancelled.append(job.id)
                job.cancel()

    racers = [threading.Thread(target=race) for _ in range(16)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(6 * WAIT)
    wait([*operation.live.values()], 6 * WAIT)
    operation.close()
    wait_until(lambda: len(ends) >= jobs)
    statuses = operation.jobs()
    assert len(statuses) == len(ends) == len(dict(ends)) == jobs
    assert {status.id: status.state for status in statuses} == dict(ends)
    for status in statuses:
        assert status.state is State.COMPLETED or (
            status.state is State.CANCELLED and status.id in cancelled), status
    wait_until(lambda: threading.active_count() <= threads)
    wait_until(lambda: multiprocessing.active_children() == [] and descriptors() <= files)
