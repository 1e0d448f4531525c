"""`longop.codeproject.adapter`: how its long commands are started, and that one runs at a time."""

import contextlib
import signal
import threading

import pytest

from longop import Busy

from ..serve.test_main import ask, get, served
from ..waiting import WAIT, end_of, wait_until
from .adapters import HEAD, RUNNING, STEPS, TWO


def test_a_second_start_is_refused_on_every_route(made):
    """While a command runs, no other command of its adapter starts, on any route."""
    door, module = made(STEPS, TWO)
    job = door.start()
    for path in "/v1/mod/one", "/v1/mod/deep/two", "/v1/Mod/two", "/v1/MOD/ONE/x":
        code, answer = door.ask("POST", path)
        assert (code, answer["success"], answer["error"], answer["commandId"]) == (
            200, False, RUNNING, job.id)
        assert "commandStatus" not in answer
        assert (answer["code"], answer["moduleId"]) == (500, "Mod")
    door.cancel(job.id)
    module.MAY.release()
    end_of(job)
    job = door.start(path="/v1/mod/deep/two")
    assert door.post("/v1/mod/one")["error"] == RUNNING
    job.cancel()
    module.MAY.release()
    end_of(job)


@pytest.mark.parametrize("path", ["/v1/mod/one", "/v1/mod/deep/two"])
def test_a_second_start_is_refused_with_prefer(made, path):
    """A start with ``Prefer: respond-async`` is refused like any other."""
    door, module = made(STEPS, TWO)
    job = door.start()
    code, answer = door.ask("POST", path, Prefer="respond-async")
    jobs = len(door.live)
    for job in door.live:
        job.cancel()
        module.MAY.release()
    assert (code, answer["detail"], jobs) == (409, RUNNING, 1)


@pytest.mark.parametrize("place", [0, 1])
def test_a_second_start_is_refused_in_python(made, place):
    """A start in Python of another route's operation raises `Busy` too."""
    door, module = made(STEPS, TWO)
    job = door.start()
    with contextlib.suppress(Busy):
        door.operations[place].start()
    jobs = len(door.live)
    for job in door.live:
        job.cancel()
        module.MAY.release()
    assert jobs == 1


def test_two_starts_at_once(made):
    """Of many starts at once, one is accepted."""
    door, module = made(STEPS, TWO)
    barrier = threading.Barrier(8)
    answers = []

    def start(path):
        barrier.wait(WAIT)
        answers.append(door.post(path))

    threads = [threading.Thread(target=start, args=(path,))
               for path in ["/v1/mod/one", "/v1/mod/deep/two"] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    taken = [answer for answer in answers if answer["success"]]
    assert len(taken) == 1
    assert {answer["commandId"] for answer in answers} == {taken[0]["commandId"]}
    door.cancel(taken[0]["commandId"])
    module.MAY.release()


def test_a_start_with_a_key_is_made_once(made):
    """With an Idempotency-Key, asking again for the same start answers the same job."""
    door, module = made(STEPS)
    job = door.start(Idempotency_Key="k")
    again = door.post(Idempotency_Key="k")
    job.cancel()
    module.MAY.release()
    assert (again["success"], again["commandId"]) == (True, job.id)


def test_started_from_python(made):
    """Without HTTP, the parameters of a start are the values of its request."""
    door, _ = made(HEAD + '''
class Values(ModuleRunner):
    def process(self, data):
        self.got = [data.get_value("a"), data.get_int("b"), data.get_file_bytes(0), data.command,
                    data.segments, data.get_value("none", "default")]
        return {"x": self.got[0]}
''')
    job = door.operations[0].start(a="text", b=5, c=b"\0\xff")
    assert end_of(job).result == {"x": "text"}
    assert door.runner.got == ["text", 5, b"\0\xff", "run", [], "default"]


def test_an_input_that_was_not_given_has_the_adapters_default(made):
    """From Python as over HTTP, get_value falls back to the adapter's default."""
    settings = {"Modules": {"Mod": {"RouteMaps": [
        {"Route": "mod/run", "Command": "run", "Inputs": [{"Name": "a", "Type": "Text"}]}]}}}
    door, _ = made(HEAD + '''
class Values(ModuleRunner):
    def process(self, data):
        return {"x": data.get_value("a", "default")}
''', settings)
    assert door.post()["x"] == "default"
    assert end_of(door.operations[0].start()).result == {"x": "default"}


@pytest.mark.parametrize("options", [{"limit": 2}, {"when_busy": "queue"}])
def test_one_long_command_at_a_time(made, options):
    """An adapter cannot be made to run several commands at a time, or to queue them."""
    door, _ = made(STEPS)
    with pytest.raises(ValueError, match="one long command at a time"):
        door.operations[0].replace(**options)


def test_in_a_process_it_cannot_run(write):
    """A command cannot run in another process than its adapter, and the error says so."""
    with served(write(STEPS), "--executor", "process") as (process, line, url):
        start = line and get(url + "v1")["operations"][0]["start"]
        said = ask(url + start[1:], "POST")[1]["error"] if line else process.stderr.read()
    assert "process" in said


def test_the_jobs_outlive_the_server(write, tmp_path):
    """With --history a long command's result outlives the server."""
    source = HEAD + '''
class Long(ModuleRunner):
    def process(self, data):
        return lambda data: {"x": data.get_value("a")}
'''
    history = str(tmp_path / "history")
    place = write(source, TWO)
    with served(place, "--history", history) as (process, _, url):
        id = get(url + "v1/mod/one?a=5", b"")["commandId"]
        wait_until(lambda: get(f"{url}v1/jobs/{id}")["state"] == "completed")
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT)
    with served(place, "--history", history) as (_, _, url):
        assert get(f"{url}v1/jobs/{id}")["result"] == {"x": "5"}
        answer = get(f"{url}v1/mod/get_command_status?commandId={id}")
        assert (answer["commandStatus"], answer["x"]) == ("completed", "5")


def test_parameters_are_shown(made):
    """/v1/jobs has the values that a command was started with, but not its files."""
    door, _ = made(STEPS)
    id = door.post(body={"prompt": "hello", "many": [1, 2]})["commandId"]
    (one,) = door.ask("GET", "/v1/jobs")[1]["jobs"]
    assert (one["id"], one["parameters"]) == (id, {"prompt": "hello", "many": [1, 2]})
