"""`longop.codeproject.module`: operations under one name."""

import os
import subprocess
import sys
import threading
import types
from concurrent import futures
from pathlib import Path

import pytest

from longop import BadParameters, Busy, LongOperation
from longop.cli.target import load
from longop.codeproject import module as module_file
from longop.codeproject.module import (Module, StartRequest, is_rejection, modules_of, say_error,
                                       say_unable)

from ..waiting import WAIT, end_of
from .adapters import ANSWERS, RUNNING, STEPS, Door, until_seen

ROOT = Path(__file__).parents[2]


def test_two_modules_of_one_name(write):
    """Two files of the same module cannot be served together."""
    settings = {"Modules": {"Mod": {}}}
    operations = [*load(write("def f(callback): pass\n", settings, name="a_first.py")),
                  *load(write("def g(callback): pass\n", settings, name="a_second.py"))]
    with pytest.raises(ValueError, match="two modules called Mod"):
        Door(operations)


def test_two_modules_in_two_folders(write, tmp_path):
    """Two modules that both look for ``./models`` cannot be served together; one alone can."""
    operations = []
    for name in "first", "second":
        folder = tmp_path / name
        (folder / "models").mkdir(parents=True)
        source = ANSWERS.replace("Answers", name.title()).replace(
            "    def process", f"""    def initialise(self):
        import os
        assert os.path.isdir("models")
        assert os.path.basename(os.getcwd()) == {name!r}

    def process""")
        (folder / f"{name}_adapter.py").write_text(source)
        operations += load(str(folder / f"{name}_adapter.py"))
    with pytest.raises(ValueError, match="first and second each need their own folder"):
        Door(operations)
    assert Door(operations[:1]).post(body={"how": "dict"})["x"] == 1


def test_serve_refuses_two_folders(tmp_path):
    """`longop.serve` says so in one line, cleans both up and exits with 2."""
    for name in "first", "second":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text(ANSWERS + f"""
    def cleanup(self):
        open({str(tmp_path / name / "cleaned")!r}, "w").close()
""")
    targets = [f"{name}/{name}.py" for name in ("first", "second")]
    done = subprocess.run([sys.executable, "-m", "longop.serve", "--port", "0", *targets],
                          stderr=subprocess.PIPE, text=True, timeout=WAIT, cwd=str(tmp_path),
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert done.stderr == ("longop.serve: first and second each need their own folder as the "
                           "working directory: serve each in a process of its own\n")
    assert all((tmp_path / name / "cleaned").exists() for name in ("first", "second"))


@pytest.fixture
def may():
    """Return what the test lets `count` go on with."""
    return threading.Semaphore(0)


@pytest.fixture
def module(may):
    """Return a module that is made of an operation without an owner."""
    def count(callback, to: int = 1):
        for number in range(to):
            callback(str(number))
            may.acquire(timeout=WAIT)

    (module,) = modules_of([LongOperation(count, when_busy="reject")])
    return module


def begin(module, **values):
    """Start a job of a module's only operation."""
    request = StartRequest({name: [value] for name, value in values.items()})
    return module.begin(module.operations[0], request)


def test_operations_without_an_owner():
    """Operations without an owner are grouped by their Python module, and stay without one."""
    operations = [LongOperation(lambda callback: None, name=name) for name in "ab"]
    (module,) = modules_of(operations)
    assert (type(module), module.id, module.operations) == (Module, "test_module", operations)
    assert module.paths(operations[1]) == ["test_module/b"]
    assert operations[0].owner is None
    (again,) = modules_of(operations[:1])
    assert again is not module


class Untold(Exception):
    """An error without a text, and with a cause."""

    def __init__(self):
        super().__init__()
        self.__cause__ = KeyError("a")


def test_own_operations():
    """A module's own operations have it as their owner, however they are served."""
    operation = LongOperation(lambda callback: None, name="a")
    module = Module("Mod")
    (own,) = module.own([operation])
    assert (own.owner, own.function, operation.owner) == (module, operation.function, None)
    assert modules_of([own.replace(limit=2)]) == [module]
    assert module.operations[0].limit == 2


def test_the_life_of_a_job(module, may):
    """A start, its status and its cancel are answered with the SDK's texts."""
    job = begin(module)
    said = module.say_begun(job)
    assert said == {"success": True, "message": "Command is running in the background",
                    "commandId": job.id, "commandStatus": "running"}
    assert module.status(job.id)["commandStatus"] == "running"
    may.release()
    end_of(job)
    assert module.say_begun(job) == said  # that it has ended is for its status to say
    assert module.say_begun(job, is_new=False)["commandStatus"] == "completed"
    assert module.status(job.id)["stop_reason"] == "completed"
    assert module.cancel(job.id) == {
        "success": False, "commandId": job.id, "commandStatus": "completed",
        "error": "The command has already completed"}


def test_a_start_that_is_refused(module, may):
    """A rejected start names the job that runs; other errors name none."""
    job = begin(module)
    with pytest.raises(Busy) as caught:
        begin(module)
    assert is_rejection(caught.value)
    assert say_error(caught.value) == {
        "success": False, "commandId": job.id,
        "error": "A long running command is already in progress"}
    may.release()
    end_of(job)
    full = Busy("the queue is full", job.id, retry_after=5)
    assert not is_rejection(full)
    assert say_error(full) == {"success": False, "error": "the queue is full"}
    with pytest.raises(BadParameters):
        begin(module, to="many")


def test_unknown_jobs(module, may):
    """No id, no job so far and an unknown job have the SDK's errors."""
    said = [module.status(""), module.status("x")]
    job = begin(module)
    may.release()
    end_of(job)
    said.append(module.status("x"))
    assert [(one["commandStatus"], one["error"]) for one in said] == [
        ("unknown", "No command ID provided"),
        ("not started", "No long running command is currently in progress"),
        ("unknown", "The command ID provided does not match the current long running command")]
    assert module.cancel("x") == {"success": False, "error": said[2]["error"]}


@pytest.mark.parametrize(("success", "code"), [(True, 200), (1, 200), (False, 500), (None, 500),
                                               ("true", 500)])
def test_wrap(success, code):
    """Each answer has the module's name, and a code that says whether it is a success."""
    whole = Module("Mod", "A module").wrap({"success": success}, "run", "7")
    assert whole == {"success": success, "moduleId": "Mod", "moduleName": "A module",
                     "code": code, "command": "run", "requestId": "7", "inferenceDevice": "CPU"}
    assert say_unable("7") == {
        "success": False, "error": "unable to process the request (#reqid 7)"}


@pytest.mark.parametrize(("error", "said"), [
    (ValueError("wrong"), "wrong"), (ValueError("a: b"), "a: b"), (ValueError(), "ValueError"),
    (ValueError("see: this"), "see: this"), (Untold(), "Untold\ncause: KeyError: 'a'")])
def test_error_without_its_type(error, said):
    """CodeProject's SDK says an error without its type; what the lines below say stays whole."""
    def fail(callback):
        raise error

    (module,) = modules_of([LongOperation(fail)])
    job = begin(module)
    end_of(job)
    assert module.status(job.id)["error"] == said


# A start while the command before it is being stopped


@pytest.fixture
def patience(monkeypatch):
    """Return a function that sets how long a start waits for a command that is stopping."""
    return lambda seconds: monkeypatch.setattr(module_file, "STOPPING", seconds)


def started_in_thread(door, **more):
    """Start a command in another thread; return the thread, and the list its answer comes into."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(door.post(**more)))
    thread.start()
    return thread, answers


def stopping(made, grace):
    """Return a door whose command was told to stop, and goes on; and the command's job."""
    grace(1e6)
    door, module = made(STEPS.replace('SEEN.append("told")', "self.force_shutdown = False"))
    job = door.start()
    until_seen(module, "begun")
    door.cancel(job.id)
    return door, module, job


@pytest.mark.parametrize("headers", [{}, {"Prefer": "respond-async"}, {"Idempotency_Key": "k"}])
def test_a_start_waits_for_the_one_before(made, grace, patience, monkeypatch, headers):
    """A start during the grace of the command before it waits for its end, and is a start."""
    patience(WAIT)
    waits = threading.Event()

    def wait(jobs, seconds):
        waits.set()
        return futures.wait(jobs, seconds)

    monkeypatch.setattr(module_file, "wait", wait)
    door, module, job = stopping(made, grace)
    thread, answers = started_in_thread(door, body={"most": 0}, **headers)
    assert waits.wait(WAIT)
    assert not answers
    assert not job.done()
    door.runner.fails = True
    module.MAY.release()
    thread.join(WAIT)
    assert job.done()
    (answer,) = answers
    assert answer.get("commandId", answer.get("id")) not in (None, job.id)
    assert answer.get("success", True) is True


def test_a_command_that_does_not_stop_refuses_the_next(made, grace, patience):
    """A start that has waited in vain says so, and names no command to be taken for its own."""
    patience(0)
    door, _, job = stopping(made, grace)
    answer = door.post()
    assert (answer["success"], "still being stopped" in answer["error"]) == (False, True)
    assert "commandId" not in answer
    assert door.status(job.id)["commandStatus"] == "cancelling"


def test_a_start_beside_one_that_runs_is_refused_at_once(made, patience):
    """A command that nobody has told to stop is waited for by none."""
    patience(1e6)
    door, _ = made(STEPS)
    job = door.start()
    assert door.post()["commandId"] == job.id


def test_two_starts_wait_and_one_is_first(made, grace, patience, monkeypatch):
    """Of two starts that wait, one is started, and the other is refused with its id."""
    patience(WAIT)
    waits = threading.Semaphore(0)

    def wait(jobs, seconds):
        waits.release()
        return futures.wait(jobs, seconds)

    monkeypatch.setattr(module_file, "wait", wait)
    door, module, job = stopping(made, grace)
    starts = [started_in_thread(door) for _ in range(2)]
    for _ in starts:
        assert waits.acquire(timeout=WAIT)
    door.runner.fails = True  # after both have called process(), which resets it
    module.MAY.release()
    for thread, _ in starts:
        thread.join(WAIT)
    first, second = sorted((answers[0] for _, answers in starts), key=lambda one: one["success"])
    assert (first["error"], second["success"]) == (RUNNING, True)
    assert first["commandId"] == second["commandId"] != job.id


def test_a_plain_operation_that_rejects_waits_too(patience):
    """A function's operation with when_busy="reject" is started once the one before has ended."""
    patience(WAIT)
    begun, may = threading.Semaphore(0), threading.Semaphore(0)

    def work(callback):
        begun.release()
        may.acquire(timeout=WAIT)
        callback()

    operation = LongOperation(work, when_busy="reject")
    (module,) = modules_of([operation])
    first = module.begin(operation, StartRequest({}))
    assert begun.acquire(timeout=WAIT)
    first.cancel()
    may.release()
    second = module.begin(operation, StartRequest({}))
    may.release()
    assert (end_of(first).state.value, end_of(second).state.value) == ("cancelled", "completed")


def test_a_stubborn_command_is_waited_for_once(made, grace, monkeypatch):
    """Starts after one that has waited in vain do not wait again for the same command."""
    door, _, _ = stopping(made, grace)
    times = []

    def wait(jobs, seconds):
        times.append(seconds)
        return futures.wait(jobs, 0)

    monkeypatch.setattr(module_file, "wait", wait)
    for now in (100.0, 101.0, 109.0):
        clock = types.SimpleNamespace(monotonic=lambda now=now: now)
        monkeypatch.setattr(module_file, "time", clock)
        assert "still being stopped" in door.post()["error"]
    assert times == [3, 2, 0]
