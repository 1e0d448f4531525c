"""`longop.codeproject.module`: operations under one name."""

import threading

import pytest

from longop import BadParameters, Busy, LongOperation
from longop.cli.target import load
from longop.codeproject.module import (Module, StartRequest, is_rejection, modules_of, say_error,
                                       say_unable)

from ..waiting import WAIT, end_of

from .adapters import Door


def test_two_modules_of_one_name(write):
    """Two files of the same module cannot be served together."""
    settings = {"Modules": {"Mod": {}}}
    operations = [*load(write("def f(callback): pass\n", settings, name="a_first.py")),
                  *load(write("def g(callback): pass\n", settings, name="a_second.py"))]
    with pytest.raises(ValueError, match="two modules called Mod"):
        Door(operations)


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
