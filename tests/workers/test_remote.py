"""Operations whose code runs in an executor: real pools, and one that the test drives."""

import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import pickle
import queue
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import (Executor, Future, InvalidStateError, ProcessPoolExecutor,
                                ThreadPoolExecutor, wait)
from multiprocessing.connection import Client
from pathlib import Path

import pytest

import longop
from longop import LongOperation, LongOperationError, State
from longop.errors import TargetError
from longop.workers.attend import FarCall

from .remote_functions import (Bomb, Deadly, count, deaf, decorated, echo, fail, fail_in_two_parts,
                               generate, give_what_cannot_be_pickled,
                               give_what_cannot_be_read, note, note_and_die,
                               note_and_wait, ring, rung, wait_a_little, wait_for, write,
                               write_on)
from ..pythons import has_process_pools
from ..waiting import WAIT, end_of

ROOT = Path(__file__).parent.parent.parent
PROCESS = pytest.param("process", marks=has_process_pools)
HAS_INTERPRETERS = hasattr(concurrent.futures, "InterpreterPoolExecutor")
INTERPRETER = pytest.param("interpreter", marks=pytest.mark.skipif(
    not HAS_INTERPRETERS, reason="InterpreterPoolExecutor came with Python 3.14"))
SPAWN = multiprocessing.get_context("spawn")  # this process has threads, so must not be forked


class Desk(Executor):
    """An executor that keeps its calls until the test makes them, as often as it likes."""

    def __init__(self):
        self._calls = queue.Queue()
        self._futures = []

    def submit(self, function, *args):
        call = Sent(function, args)
        self._futures.append(call.future)
        self._calls.put(call)
        return call.future

    def take(self):
        return self._calls.get(timeout=WAIT)

    def close(self):
        """End the jobs that a failed test left waiting."""
        for future in self._futures:
            with contextlib.suppress(InvalidStateError):
                future.set_exception(OSError("the test is over"))


class Sent:
    """A call that was submitted, with the address and the key of its job."""

    def __init__(self, function, args):
        self.function, self.args, self.future = function, args, Future()
        self.address, = (arg for arg in args if isinstance(arg, tuple))
        self.key, = (arg for arg in args if isinstance(arg, bytes))

    def make(self):
        """Make the call here; set its outcome on the future, and return it."""
        try:
            outcome = self.function(*self.args)
        except BaseException as error:
            outcome = error
        with contextlib.suppress(InvalidStateError):  # it was cancelled
            if isinstance(outcome, BaseException):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)
        return outcome

    def begin(self):
        """Make the call in a thread."""
        thread = threading.Thread(target=self.make, daemon=True)
        thread.start()
        return thread

    @contextlib.contextmanager
    def process(self):
        """Make the call in a process that does not return the outcome."""
        process = SPAWN.Process(target=self.function, args=self.args, daemon=True)
        process.start()
        try:
            yield process
        finally:
            process.kill()
            process.join()

    def redirect(self, address):
        """Send the worker to another address."""
        self.args = tuple(address if arg is self.address else arg for arg in self.args)


class Line:
    """A relay to an address, which can be cut."""

    def __init__(self, address):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._to, self._ends = address, []
        threading.Thread(target=self._connect, daemon=True).start()

    def _connect(self):
        with self._listener:
            self._ends = [self._listener.accept()[0], socket.create_connection(self._to)]
        for source, target in self._ends, self._ends[::-1]:
            threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source, target):
        with source, contextlib.suppress(OSError):
            for data in iter(lambda: source.recv(4096), b""):
                target.sendall(data)
        self.cut()

    def cut(self):
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def pools():
    kinds = {"thread": ThreadPoolExecutor, "process": functools.partial(ProcessPoolExecutor,
                                                                        mp_context=SPAWN)}
    if HAS_INTERPRETERS:
        kinds["interpreter"] = concurrent.futures.InterpreterPoolExecutor
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(kind(2)) for name, kind in kinds.items()}


@pytest.fixture(params=["thread", PROCESS, INTERPRETER])
def pool(request, pools):
    """A pool that has room for two calls."""
    return pools[request.param]


@pytest.fixture(params=[PROCESS, INTERPRETER])
def distant(request, pools):
    """A pool that a call has to be pickled for."""
    return pools[request.param]


@pytest.fixture
def operate():
    """Make operations, and end them with the test."""
    made = []

    def operate(function, executor, **options):
        made.append(LongOperation(function, executor=executor, **options))
        return made[-1]

    yield operate
    for operation in made:
        operation.close()


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.close()


def wait_for_step(job, step):
    return wait_for(lambda: job.status().step == step)


def wait_for_report(job):
    return wait_for(lambda: job.status().result)


def release(folder):
    """Let `count` run to its end."""
    for number in (1, 2, 3):
        (folder / f"go{number}").touch()


def pid(job):
    return int(job.status().message.split()[1])


# With real pools


def test_progress_is_seen_while_it_runs(pool, operate, tmp_path):
    """Each report is seen while the function goes on, then its value."""
    job = operate(count, pool).start(folder=tmp_path)
    for number in (1, 2, 3):
        wait_for_step(job, number)
        status = job.status()
        assert (status.state, status.result, status.total) == (State.RUNNING, "x" * number, 3)
        (tmp_path / f"go{number}").touch()
    assert job.result(WAIT) == "all"
    assert (pid(job) == os.getpid()) == isinstance(pool, ThreadPoolExecutor)


def test_cancel_stops_the_code(pool, operate, tmp_path):
    """Once a job is `cancelled` its function has stopped, in the worker too."""
    file = tmp_path / "file"
    job = operate(write, pool).start(file=file)
    wait_for_report(job)
    assert job.cancel()
    status = end_of(job)
    assert (status.state, status.stop_reason, status.result) == (
        State.CANCELLED, "cancelled", "writing")
    text = file.read_text()
    assert text.endswith("xstopped")
    for again in [operate(fail, pool, limit=2).start() for _ in range(2)]:  # in each worker
        end_of(again)
    assert file.read_text() == text


def test_cancel_of_what_has_not_begun(pool, operate, tmp_path):
    """A job that waits for the pool is cancelled at once, and never runs."""
    busy = operate(count, pool, limit=2)
    running = [busy.start(folder=tmp_path) for _ in range(2)]
    for job in running:
        wait_for_step(job, 1)
    waiting = operate(note, pool, limit=9)
    jobs = [waiting.start(file=tmp_path / f"file{number}") for number in range(4)]
    for job in jobs:
        assert job.cancel()
        assert end_of(job).state is State.CANCELLED
    assert [job.state for job in running] == [State.RUNNING] * 2
    release(tmp_path)
    after = [waiting.start(file=tmp_path / "after") for _ in range(4)]
    assert [end_of(job).state for job in running + after] == [State.COMPLETED] * 6
    assert [path.name for path in tmp_path.glob("[!g]*")] == ["after"]


def test_limit(pool, operate, tmp_path):
    """As many jobs run at once as the limit says; the next begins when one has ended."""
    operation = operate(count, pool, limit=2)
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    jobs = [operation.start(folder=folder) for folder in folders]
    for job in jobs[:2]:
        wait_for_step(job, 1)
    assert jobs[2].status().queue_position == 1
    release(folders[0])
    assert jobs[0].result(WAIT) == "all"
    wait_for_step(jobs[2], 1)
    assert jobs[1].state is State.RUNNING
    for folder in folders[1:]:
        release(folder)
    assert [job.result(WAIT) for job in jobs] == ["all"] * 3


def test_error_has_its_type(pool, operate):
    """An error arrives as what it is, and the traceback says where it was raised."""
    job = operate(fail, pool).start()
    assert (end_of(job).state, job.status().error) == (State.FAILED, "ValueError: wrong")
    assert type(job.exception(0)) is ValueError
    assert "in fail\n" in str(job.exception(0).__cause__)


def test_traceback_from_a_pool(pool, operate):
    """The log of the job has the traceback from the pool, if that is wanted."""
    job = operate(fail, pool, show_tracebacks=True).start()
    job.exception(WAIT)
    assert "in fail\n" in job.log()
    assert job.log().endswith("\nValueError: wrong\n")


def test_error_that_cannot_be_pickled(pool, operate):
    """An error that cannot be pickled keeps its name and text, and the pool lives on."""
    job = operate(fail_in_two_parts, pool).start()
    assert (end_of(job).state, job.status().error) == (State.FAILED, "TwoParts: left, right")
    assert type(job.exception(0)).__name__ == "TwoParts"
    assert end_of(operate(fail, pool).start()).error == "ValueError: wrong"


@pytest.mark.parametrize("value", [False, True])
def test_value_that_cannot_be_pickled(pool, operate, value):
    """A value or a report that cannot be pickled does not make the job fail."""
    status = end_of(operate(give_what_cannot_be_pickled, pool).start(value=value))
    assert (status.state, status.error) == (State.COMPLETED, None)
    assert "lock object at" in str(status.result if value else status.message)


@pytest.mark.parametrize("part", ["result", "message", "value"])
def test_value_that_cannot_be_read(pool, operate, part):
    """A value or a report that cannot be read again spoils neither its job nor the pool."""
    operation = operate(give_what_cannot_be_read, pool)
    job = operation.start(part=part)
    assert (end_of(job).state, job.status().error) == (State.COMPLETED, None)
    assert operation.start(part="").result(WAIT) == (1, {2})


@pytest.mark.parametrize(("function", "value"), [
    (generate, 3), (wait_a_little, 3), (decorated, 3), (functools.partial(generate, n=4), 4)])
def test_shapes_of_functions(pool, operate, function, value):
    """Generators, coroutines, decorated and partial functions run as they do in a thread."""
    parameters = {} if isinstance(function, functools.partial) else {"n": 3}
    operation = (function.replace(executor=pool) if isinstance(function, LongOperation)
                 else operate(function, pool))
    assert operation.start(**parameters).result(WAIT) == value


def test_companion_is_called_where_the_function_runs(pool, operate):
    """The companion is called once, in the process where the function runs."""
    job = operate(deaf, pool, cancel=ring, grace=0.05).start()
    wait_for_report(job)
    job.cancel()
    status = end_of(job)
    assert (status.state, status.error) == (State.CANCELLED, "stopped by ring")
    there, rung_by = status.result
    assert [*rung_by] == [there]
    assert (there == os.getpid()) == isinstance(pool, ThreadPoolExecutor)


class Clock(longop.guard.Clock):
    """A clock that the test moves forward."""

    passed = 0.0

    def now(self):
        return time.monotonic() + self.passed

    def wait(self, event, seconds):
        return event.wait(min(seconds, 0.01))  # then the clock is read again

    def let_pass(self, job):
        """Let time pass until a job has ended: once more if it was not known to report yet."""
        def ends():
            self.passed += 2000
            return job.done()

        wait_for(ends)


@pytest.mark.parametrize("deadline", ["timeout", "stall_timeout"])
def test_deadlines(pool, operate, tmp_path, deadline):
    """A deadline stops the code; the job has failed, and its last report is kept."""
    clock = Clock()
    job = operate(count, pool, clock=clock, **{deadline: 1000}).start(folder=tmp_path)
    wait_for_step(job, 1)
    clock.let_pass(job)
    status = job.status()
    assert (status.state, status.step) == (State.FAILED, 1)
    assert status.stop_reason == {"timeout": "timeout", "stall_timeout": "stalled"}[deadline]
    assert status.error.startswith("DeadlineExceeded: ")


@has_process_pools
def test_lost_worker(operate, tmp_path):
    """A job whose process dies has failed, with its report kept, and so have the next."""
    with ProcessPoolExecutor(1, SPAWN) as pool:
        operation = operate(note_and_die, pool)
        job = operation.start(file=tmp_path / "file")
        wait_for_report(job)
        (tmp_path / "seen").touch()
        status = end_of(job)
        assert (status.state, status.stop_reason, status.result) == (
            State.FAILED, "error", "alive")
        assert "terminated abruptly" in status.error
        assert "pool is not usable anymore" in end_of(operation.start(file=tmp_path)).error
    assert (tmp_path / "file").read_text() == "ran "


@has_process_pools
def test_worker_lost_before_it_has_begun(operate, tmp_path):
    """A process that dies before it has reached the job is a failure as well."""
    with ProcessPoolExecutor(1, SPAWN) as pool:
        job = operate(note, pool).start(file=Deadly())
        assert end_of(job).state is State.FAILED
        assert "terminated abruptly" in job.status().error


@has_process_pools
def test_parameter_that_cannot_be_read(operate, pools, tmp_path):
    """A parameter that cannot be read in the pool fails its job; the pool lives on."""
    folder = tmp_path / "folder"
    folder.mkdir()
    operation = operate(note, pools["process"])
    job = operation.start(file=Bomb(folder))  # cannot be made twice, so raises
    assert end_of(job).state is State.FAILED
    assert job.status().error.startswith("FileExistsError: ")
    operation.start(file=tmp_path / "file").result(WAIT)
    assert (tmp_path / "file").read_text() == "ran "


def test_function_that_the_pool_cannot_pickle(operate, distant):
    """A function or a parameter that cannot be sent is an error of the start."""
    operation = operate(lambda: 1, distant)
    with pytest.raises(TargetError, match="lambda"):
        operation.start()
    assert operation.jobs() == []
    with pytest.raises(TargetError, match=r"pickle .*_thread\.lock"):
        operate(echo, distant).start(n=threading.Lock())


MAIN = """
import multiprocessing, os
import concurrent.futures as futures
import longop

class Odd(Exception):
    pass

@longop.long_operation
def work(n, callback):
    callback(step=n)
    if n == 0:
        raise Odd("zero")
    return n

if __name__ == "__main__":
    if os.environ["POOL"] == "process":
        pool = futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    else:
        pool = futures.InterpreterPoolExecutor(1)
    with pool:
        operation = work.replace(executor=pool)
        try:
            job = operation.start(n=3)
        except longop.LongOperationError as error:
            print(type(error).__name__, error)
        else:
            print(job.result(20), job.status().step, type(operation.start(n=0).exception(20)))
"""


@pytest.mark.parametrize(("arguments", "out"), [
    (["script.py"], "3 3 <class '__main__.Odd'>\n"), (["-c", MAIN], "TargetError ")])
@pytest.mark.parametrize("pool", [PROCESS, INTERPRETER])
def test_main_module(tmp_path, arguments, out, pool):
    """What a script decorates runs by its name; where there is no script the start fails."""
    (tmp_path / "script.py").write_text(MAIN)
    done = subprocess.run([sys.executable, *arguments], cwd=str(tmp_path), timeout=60,
                          env=dict(os.environ, PYTHONPATH=str(ROOT), POOL=pool),
                          capture_output=True, text=True)
    assert done.stdout.startswith(out), done.stderr
    assert ("main module that other processes cannot import" in done.stdout) == (
        out == "TargetError ")


LEAVING = """
import concurrent.futures as futures, contextlib, sys, threading
import longop

stopped = threading.Event()

def work(callback):
    print("printed")
    with contextlib.suppress(longop.OperationCancelled):
        callback("begun")
    assert stopped.wait(20)

def stop():
    print("stopped")
    stopped.set()

if __name__ == "__main__":
    pool = getattr(futures, sys.argv[1])(1)
    operation = longop.LongOperation(work, executor=pool, cancel=stop, grace=0)
    job = operation.start()
    for status in job.updates():
        if status.result == "begun":
            job.cancel()
    print(job.state.value)
"""


@pytest.mark.parametrize("pool", ["thread", INTERPRETER])
def test_end_of_the_process(tmp_path, pool):
    """What ran in a thread or an interpreter has printed, and holds up no process that ends."""
    (tmp_path / "script.py").write_text(LEAVING)
    name = {"thread": "ThreadPoolExecutor", "interpreter": "InterpreterPoolExecutor"}[pool]
    done = subprocess.run([sys.executable, "script.py", name], cwd=str(tmp_path), timeout=60,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True,
                          text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == ["cancelled", "printed", "stopped"]


def test_executor_that_is_shut_down(operate):
    """A job of an executor that is shut down has failed, and says so."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    status = end_of(operate(fail, pool).start())
    assert (status.state, status.error) == (
        State.FAILED, "RuntimeError: cannot schedule new futures after shutdown")


def test_close_leaves_the_executor_to_its_owner(operate, pool, tmp_path):
    """The end of an operation stops its job, but not the executor."""
    operation = operate(write, pool)
    job = operation.start(file=tmp_path / "file")
    wait_for_report(job)
    operation.close()
    assert job.status().state is State.INTERRUPTED
    assert (tmp_path / "file").read_text().endswith("stopped")
    assert operate(echo, pool).start(n=5).result(WAIT) == 5


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_nothing_is_left(operate, desk, tmp_path):
    """A job leaves no descriptor, socket or thread, however it ends."""
    def things():
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    with ThreadPoolExecutor(1) as pool:
        def use():
            assert operate(echo, pool).start(n=1).result(WAIT) == 1
            assert end_of(operate(fail, pool).start()).state is State.FAILED
            job = operate(write, pool).start(file=tmp_path / "file")
            wait_for_report(job)
            job.cancel()
            assert end_of(job).state is State.CANCELLED
            job = operate(fail, desk).start()
            desk.take()
            job.cancel()
            assert end_of(job).state is State.CANCELLED
            job = operate(fail, desk).start()
            desk.take().future.set_exception(OSError("lost"))
            assert end_of(job).error == "OSError: lost"

        use()
        before = things()
        for _ in range(10):
            use()
        wait_for(lambda: things() <= before)


FORKS = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import longop
from tests.workers.remote_functions import echo

if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        operation = longop.LongOperation(echo, executor=pool,
                                         report_to=("127.0.0.1", int(sys.argv[1])))
        for n in range(3):
            print(operation.start(n=n).result(20))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_pool_that_forks(tmp_path):
    """A pool that forks works too, at a port of its own: its workers do not keep it taken."""
    script = tmp_path / "script.py"
    script.write_text(FORKS)
    done = subprocess.run([sys.executable, "-W", "ignore", str(script), str(free_port())],
                          cwd=str(ROOT), env=dict(os.environ, PYTHONPATH=str(ROOT)),
                          capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["0", "1", "2"], done.stderr


def test_messages_are_not_held_back(operate, pools):
    """Messages are sent at once: by default, TCP holds small ones back for 40 ms."""
    operation = operate(echo, pools["thread"])
    times = []
    for n in range(20):
        began = time.perf_counter()
        assert operation.start(n=n).result(WAIT) == n
        times.append(time.perf_counter() - began)
    assert min(times) < 0.02  # where it takes 2 ms


# Workers and connections that are lost


def test_executor_that_never_answers(operate, desk, tmp_path, monkeypatch):
    """A job whose worker is lost has failed, even if the executor never answers."""
    monkeypatch.setattr("longop.workers.remote.OUTCOME_TIMEOUT", 0.1)
    job = operate(write, desk).start(file=tmp_path / "file")
    with desk.take().process() as process:
        wait_for_report(job)
        process.kill()
        status = end_of(job)
    assert (status.state, status.result) == (State.FAILED, "writing")
    assert status.error == (
        "WorkerLost: the connection to its worker broke; its code may still run there")


def test_executor_that_never_says_what_came_of_a_cancel(operate, desk, tmp_path, monkeypatch):
    """A job whose code has stopped has ended, though its worker was lost just then."""
    monkeypatch.setattr("longop.workers.remote.OUTCOME_TIMEOUT", 0.1)
    job = operate(write, desk).start(file=tmp_path / "file")
    sent = desk.take()
    worker = threading.Thread(target=sent.function, args=sent.args, daemon=True)
    worker.start()
    wait_for_report(job)
    job.cancel()
    worker.join(WAIT)
    assert (tmp_path / "file").read_text().endswith("stopped")
    assert end_of(job).state is State.CANCELLED


def test_worker_that_is_started_again_is_refused(operate, desk, tmp_path):
    """An executor that tries again on another worker, as Dask does, does not run it twice."""
    job = operate(note_and_wait, desk).start(file=tmp_path / "file")
    sent = desk.take()
    with sent.process():
        wait_for_report(job)  # and the process is killed
    assert "cannot reach the job" in str(sent.make())
    assert end_of(job).state is State.FAILED
    assert job.status().error.startswith("WorkerLost: ")
    assert (tmp_path / "file").read_text() == "ran "


def test_second_worker_beside_the_first(operate, desk, tmp_path):
    """A second worker is refused, and the job fails when the executor reports that."""
    job = operate(count, desk).start(folder=tmp_path)
    sent = desk.take()
    worker = threading.Thread(target=sent.function, args=sent.args, daemon=True)
    worker.start()
    wait_for_step(job, 1)
    assert isinstance(sent.make(), LongOperationError)  # the second one is refused
    assert end_of(job).state is State.FAILED
    assert job.status().error.startswith("WorkerLost: ")
    assert "report_to" not in job.status().error  # which is not the problem here
    worker.join(WAIT)
    assert not worker.is_alive()


def test_worker_that_comes_after_a_cancel_is_refused(operate, desk, tmp_path):
    """A worker that an executor starts although the job was cancelled does not run it."""
    job = operate(note, desk).start(file=tmp_path / "file")
    sent = desk.take()
    assert sent.future.set_running_or_notify_cancel()  # it cannot be cancelled any more
    job.cancel()
    assert end_of(job).state is State.CANCELLED
    assert isinstance(sent.make(), LongOperationError)
    assert not (tmp_path / "file").exists()


def test_connection_that_stays_open(operate, desk, tmp_path):
    """A worker that the executor reports as lost is lost, though its connection is open.

    So it is if a machine loses power, or if a copy of the worker holds the connection open.
    """
    job = operate(count, desk).start(folder=tmp_path)
    sent = desk.take()
    worker = sent.begin()
    wait_for_step(job, 1)
    sent.future.set_exception(OSError("its machine is off"))
    status = end_of(job)
    assert (status.state, status.error) == (State.FAILED, "OSError: its machine is off")
    worker.join(WAIT)  # it was told to stop
    assert not worker.is_alive()


def test_connection_that_breaks(operate, desk, tmp_path):
    """A function that stops because its connection broke has failed; it was not cancelled."""
    file = tmp_path / "file"
    job = operate(write, desk).start(file=file)
    sent = desk.take()
    line = Line(sent.address)
    sent.redirect(line.address)
    worker = sent.begin()
    wait_for_report(job)
    line.cut()
    status = end_of(job)
    assert (status.state, status.result) == (State.FAILED, "writing")
    assert status.error.startswith("WorkerLost: ")
    worker.join(WAIT)
    assert file.read_text().endswith("stopped")


@pytest.mark.parametrize("says", ["nothing", "OSError: lost"])
def test_companion_and_a_connection_that_breaks(operate, desk, tmp_path, monkeypatch, says):
    """A job whose worker is lost is not `cancelled`, whatever was tried: its code may run on."""
    monkeypatch.setattr("longop.workers.remote.OUTCOME_TIMEOUT", 0.1)
    file, leave = tmp_path / "file", tmp_path / "leave"
    job = operate(write_on, desk, cancel=ring, grace=0).start(file=file, leave=leave)
    sent = desk.take()
    line = Line(sent.address)
    sent.redirect(line.address)
    worker = sent.begin()
    wait_for_report(job)
    job.cancel()
    assert rung.wait(WAIT)  # the companion was called
    if says == "nothing":
        line.cut()
        says = "WorkerLost: the connection to its worker broke; its code may still run there"
    else:
        sent.future.set_exception(OSError("lost"))
    status = end_of(job)
    length = file.stat().st_size
    wait_for(lambda: file.stat().st_size > length)
    assert (status.state, status.error) == (State.FAILED, says)
    leave.touch()
    worker.join(WAIT)
    line.cut()


def test_cancel_as_the_worker_comes(operate, desk, tmp_path, monkeypatch):
    """A job that is cancelled when its worker is there, but not welcome yet, does not begin."""
    job = operate(note, desk, cancel=ring, grace=0).start(file=tmp_path / "file")
    rung.clear()

    def begin(far, channel, message, begin=FarCall.begin):
        job.cancel()
        return begin(far, channel, message)

    monkeypatch.setattr(FarCall, "begin", begin)
    desk.take().begin().join(WAIT)
    assert (end_of(job).state, job.status().error) == (State.CANCELLED, None)
    assert not (tmp_path / "file").exists()
    assert not rung.is_set()


@pytest.mark.parametrize("option", ["timeout", "stall_timeout"])
def test_deadline_counts_from_the_begin(operate, desk, tmp_path, option):
    """The time that a job waits for the executor is not the job's."""
    clock = Clock()
    job = operate(count, desk, clock=clock, **{option: 1000}).start(folder=tmp_path)
    sent = desk.take()
    clock.passed = 2000
    worker = sent.begin()
    wait_for_step(job, 1)
    assert job.state is State.RUNNING
    clock.let_pass(job)
    assert job.status().state is State.FAILED
    assert job.status().error.startswith("DeadlineExceeded: ")
    worker.join(WAIT)


def test_executor_that_ends_with_its_workers(operate, desk, tmp_path):
    """A worker is lost, not cancelled, if its executor dies and cancels its futures."""
    job = operate(write, desk).start(file=tmp_path / "file")
    sent = desk.take()
    with sent.process() as process:
        wait_for_report(job)
        process.kill()
        sent.future.cancel()
        assert end_of(job).state is State.FAILED
    assert job.status().error.startswith("WorkerLost: ")


def test_executor_that_cancels_what_runs(operate, desk, tmp_path):
    """A call that an executor, such as Dask, reports as cancelled is followed to its end."""
    job = operate(count, desk).start(folder=tmp_path)
    sent = desk.take()
    worker = sent.begin()
    wait_for_step(job, 1)
    assert sent.future.cancel()
    (tmp_path / "go1").touch()
    wait_for_step(job, 2)
    assert job.state is State.RUNNING
    release(tmp_path)
    end_of(job)
    worker.join(WAIT)
    assert not worker.is_alive()


def test_outcome_that_takes_its_time(operate, desk, monkeypatch):
    """A job waits for the outcome of a function that has ended: a large one takes long."""
    monkeypatch.setattr("longop.workers.remote.OUTCOME_TIMEOUT", 0.02)
    job = operate(echo, desk).start(n=7)
    sent = desk.take()
    outcome = sent.function(*sent.args)
    assert not wait([job], 0.3).done
    sent.future.set_result(outcome)
    assert job.result(WAIT) == 7


FAR = """
import pickle, sys
from concurrent.futures import Executor, Future
from pathlib import Path
import longop
from tests.workers.remote_functions import write

class Post(Executor):
    def submit(self, function, *args):
        with open(sys.argv[1], "wb") as file:
            pickle.dump((function, args), file)
        print(flush=True)
        return Future()

longop.LongOperation(write, executor=Post()).start(file=Path(sys.argv[2])).result()
"""


def test_operation_that_is_gone(tmp_path):
    """When the operation's own process dies, its code on the worker is told to stop."""
    file = tmp_path / "file"
    with subprocess.Popen([sys.executable, "-c", FAR, str(tmp_path / "call"), str(file)],
                          cwd=str(ROOT), stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        function, args = pickle.loads((tmp_path / "call").read_bytes())
        worker = threading.Thread(target=function, args=args, daemon=True)
        worker.start()
        wait_for(lambda: file.exists() and file.read_text())
        process.kill()
    worker.join(WAIT)
    assert file.read_text().endswith("xstopped")


# Strangers


def read_all(stream):
    """Return what comes until the other side hangs up."""
    with contextlib.suppress(ConnectionResetError):
        return b"".join(iter(lambda: stream.recv(4096), b""))
    return b""


GARBAGE = {
    "nothing": b"", "empty": b"\0" * 4, "web": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    "long": b"{" * 5000, "large": struct.pack("!i", 2 ** 31 - 1) + b"x" * 300,
    "larger": struct.pack("!iQ", -1, 2 ** 64 - 1), "negative": struct.pack("!i", -5),
    "answer": struct.pack("!i", 16) + b"x" * 16, "half": struct.pack("!i", 200) + b"x"}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_stranger_without_manners(operate, desk, garbage):
    """A stranger that sends garbage gets a challenge and nothing else; the job goes on."""
    job = operate(echo, desk).start(n=8)
    sent = desk.take()
    with socket.create_connection(sent.address, WAIT) as stranger:
        with contextlib.suppress(OSError):  # the other side has hung up
            stranger.sendall(garbage)
            stranger.shutdown(socket.SHUT_WR)
        said = read_all(stranger)
    assert sent.key not in said
    assert job.id.encode() not in said
    assert job.state is State.RUNNING
    sent.make()
    assert job.result(WAIT) == 8


@pytest.mark.parametrize("key", [None, b"", b"wrong"])
def test_stranger_without_the_key(operate, desk, key):
    """A stranger without the right key can report nothing; the job goes on."""
    job = operate(echo, desk).start(n=8)
    sent = desk.take()
    with contextlib.suppress(multiprocessing.AuthenticationError, EOFError, OSError), \
            Client(sent.address, authkey=key) as stranger:
        for _ in range(3):
            stranger.send_bytes(f'["reported","{job.id}",1,"forged",1,1,null]'.encode())
        while stranger.poll(WAIT):  # up to the end of the connection
            stranger.recv_bytes()
    assert job.status().result is None
    sent.make()
    assert job.result(WAIT) == 8


@pytest.mark.parametrize("said", [b"", struct.pack("!i", 20) + b"x"], ids=["not", "half"])
def test_stranger_that_is_silent(operate, desk, said):
    """A stranger that connects and is silent does not keep the worker out."""
    job = operate(echo, desk).start(n=8)
    sent = desk.take()
    with socket.create_connection(sent.address, WAIT) as stranger:
        stranger.sendall(said)
        assert stranger.recv(4096)  # the challenge, so it is its turn now
        worker = sent.begin()
        assert job.result(WAIT) == 8
    worker.join(WAIT)


def test_stranger_that_is_silent_does_not_hold_up_a_cancel(operate, desk):
    """A stranger that connects and is silent does not delay a cancel."""
    job = operate(echo, desk).start(n=8)
    with socket.create_connection(desk.take().address, WAIT) as stranger:
        assert stranger.recv(4096)
        job.cancel()
        assert end_of(job).state is State.CANCELLED


def test_nothing_from_the_network_is_unpickled(operate, desk, tmp_path, monkeypatch):
    """A pickle in place of JSON is not read, neither before nor after the welcome."""
    monkeypatch.setattr("longop.workers.remote.OUTCOME_TIMEOUT", 0.1)
    bomb = Bomb(tmp_path / "exploded")
    job = operate(echo, desk).start(n=8)
    sent = desk.take()
    with Client(sent.address, authkey=sent.key) as worker:
        worker.send(bomb)
        with pytest.raises((EOFError, ConnectionError)):
            worker.recv_bytes()
    assert job.state is State.RUNNING
    with Client(sent.address, authkey=sent.key) as worker:
        worker.send_bytes(f'["hello","{job.id}"]'.encode())
        assert worker.recv_bytes() == f'["welcome","{job.id}"]'.encode()
        worker.send(bomb)
        assert end_of(job).state is State.FAILED
    assert [*tmp_path.iterdir()] == []
    pickle.loads(pickle.dumps(bomb))  # as it would have
    assert bomb.folder.exists()


# Where the jobs listen


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_report_to(operate, desk):
    """The worker is told the host and the port that were given; several jobs can share it."""
    place = ("localhost", free_port())
    operation = operate(echo, desk, report_to=place, limit=2)
    jobs = [operation.start(n=n) for n in (1, 2)]
    for _ in jobs:
        sent = desk.take()
        assert sent.address == place
        sent.begin()
    assert [job.result(WAIT) for job in jobs] == [1, 2]


def test_jobs_one_after_the_other_at_one_port(operate, pools):
    """Where one job has listened the next one can, at once."""
    operation = operate(echo, pools["thread"], report_to=("127.0.0.1", free_port()))
    assert [operation.start(n=n).result(WAIT) for n in range(20)] == [*range(20)]


def test_worker_that_cannot_reach_the_job(operate, desk):
    """The error of a worker that cannot reach the job says what to do about it."""
    job = operate(echo, desk).start(n=1)
    sent = desk.take()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        sent.redirect(closed.getsockname())
        sent.make()
    assert end_of(job).state is State.FAILED
    assert job.status().error.startswith(
        "WorkerLost: the worker cannot reach the job at ('127.0")
    assert "report_to=(host, port) must say where" in job.status().error


def test_report_to_a_host_that_is_not_here(operate, desk):
    """The error of a job that cannot listen at `report_to` names the option."""
    status = end_of(operate(fail, desk, report_to=("192.0.2.1", 0)).start())
    assert status.state is State.FAILED
    assert "report_to" in status.error


@pytest.mark.parametrize("executor", ["fibre", "", None, 3, object(), ThreadPoolExecutor])
def test_wrong_executor(executor):
    """Anything but an executor is refused when the operation is made."""
    with pytest.raises(ValueError, match="executor must be one of"):
        LongOperation(fail, executor=executor)
