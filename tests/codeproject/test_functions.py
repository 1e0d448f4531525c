"""`longop.codeproject.functions`: a module of functions."""

import sys

import pytest

from longop import LongOperationError
from longop.cli.target import load
from longop.codeproject import RequestData
from longop.codeproject.functions import Functions

from ..waiting import end_of as end_of_job, wait_until

from .adapters import Door
from .modules import FUNCTIONS, end_of
from .queue_server import QueueServer, module


@pytest.mark.parametrize("routes", [1, 2])
def test_functions_with_routes(write, routes):
    """The functions of a file have the routes that the settings give them, and their own."""
    settings = {"Modules": {"Mod": {"RouteMaps": [
        {"Route": f"mod/go-{name}", "Command": name} for name in ("f", "g")[:routes]]}}}
    place = write("def f(callback): return 1\ndef g(callback): return 2\n", settings)
    one = Door(load(place))
    for name in ("f", "g")[:routes]:
        assert one.post(f"/v1/mod/go-{name}")["command"] == name
    assert one.post("/v1/Mod/g")["command"] == "g"


def test_functions_are_known_by_name(tmp_path):
    """Of several functions, a command starts the one of its name; an unknown name is an error."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject",
                                         "functions.py", folder=tmp_path):
        end = end_of(server, server.request("fail")["commandId"])
        assert (end["commandStatus"], end["error"]) == ("failed", "no")
        reply = server.request("other")
        assert reply["success"] is False
        assert "count, fail" in reply["error"]


@pytest.fixture
def functions(write):
    """Return a function that loads functions of a module; it returns the module."""
    def functions(source):
        door = Door(load(write(source, {"Modules": {"Mod": {"Name": "A module"}}})))
        assert type(door.module) is Functions
        return door.module

    return functions


def test_commands(functions):
    """A command starts the operation of its name; an unknown one is an error that names them."""
    module = functions("def f(callback): return 1\ndef g(callback, a: int): return a\n")
    request = RequestData.of({"a": ["2"]}, "g", [], "an id")
    job = module.process(request)
    assert (job.id, end_of_job(job).result) == ("an id", 2)
    with pytest.raises(LongOperationError, match=r"no command 'h'; known are: f, g"):
        module.process(RequestData.of({}, "h", []))


def test_the_only_command(functions):
    """Where there is one function, each command starts it."""
    module = functions("def f(callback): return 1\n")
    assert end_of_job(module.process(RequestData.of({}, "whatever", []))).result == 1


def test_ends_are_counted(functions):
    """Each job is counted once, at its end, as it ended."""
    module = functions("def f(callback, divisor: int): return 1 / divisor\n")
    for divisor in "101":
        end_of_job(module.process(RequestData.of({"divisor": [divisor]}, "f", [])))

    def counted():
        said = module.statistics()
        return said["successfulInferences"], said["failedInferences"]

    wait_until(lambda: counted() == (2, 1))


def test_the_command_of_a_start(write):
    """A start is answered with the command of its route, as the queue's answers are."""
    settings = {"Modules": {"Mod": {"RouteMaps": [{"Route": "mod/go", "Command": "begin"}]}}}
    door = Door(load(write("def f(callback): pass\n", settings)))
    assert door.post("/v1/mod/go")["command"] == "begin"
    place = write("def f(callback): pass\ndef g(callback): pass\n", settings, name="a_second.py")
    assert Door(load(place)).post("/v1/mod/g")["command"] == "g"
