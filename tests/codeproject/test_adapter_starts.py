"""`longop.codeproject.adapter`: how its long commands are started, and that one runs at a time."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from longop import Busy, Callback, OperationCancelled
from longop.codeproject.adapter import Turns

from ..serve.test_main import get, served
from ..waiting import WAIT, end_of, wait_until
from ..windows import SIGNALS
from .adapters import ANSWERS, HEAD, RUNNING, STEPS, TWO, until_seen

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize("command", ["serve", "run"])
def test_in_a_process_it_cannot_run(write, tmp_path, command):
    """Commands run where their adapter is; another executor is refused at the start."""
    place = write(STEPS + f'''
    def cleanup(self):
        open({str(tmp_path / "cleaned")!r}, "w").close()
''')
    done = subprocess.run([sys.executable, "-m", f"longop.{command}", place, "--executor",
                           "process"], stderr=subprocess.PIPE, text=True, timeout=WAIT,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "an adapter's commands run where the adapter is, in this process" in done.stderr
    assert (tmp_path / "cleaned").exists()


# How many at once

MEETS = HEAD + '''
class Meets(ModuleRunner):
    inside, most = 0, 0
    lock = threading.Lock()

    def process(self, data):
        if data.get_value("quick"):
            return {"most": Meets.most}
        with self.lock:
            Meets.inside += 1
            Meets.most = max(Meets.most, Meets.inside)
        SEEN.append("inside")
        MAY.acquire(timeout=10)
        with self.lock:
            Meets.inside -= 1
        return {"x": 1}
'''


def with_parallelism(number):
    return {"Modules": {"Mod": {"LaunchSettings": {"Parallelism": number},
                                "RouteMaps": [{"Route": "mod/one", "Command": "first"}]}}}


@pytest.mark.parametrize("number", [1, 3])
def test_parallelism(made, number):
    """At most as many requests are processed at once as the settings say; others wait."""
    door, module = made(MEETS, with_parallelism(number))
    threads = [threading.Thread(target=door.post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for done in range(8):
        wait_until(lambda done=done: len(module.SEEN) >= min(8, number + done))
        assert len(module.SEEN) == min(8, number + done)  # those that wait are not let in
        module.MAY.release()
    for thread in threads:
        thread.join(WAIT)
    assert module.Meets.most == number


def test_parallelism_0(made, monkeypatch):
    """Parallelism 0 means half of the processors, but at least one."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    door, _ = made(MEETS, with_parallelism(0))
    assert door.runner.parallelism == 1
    assert door.post(body={"quick": "1"})["success"] is True


@pytest.mark.parametrize("number", [1, 0])
def test_parallelism_that_an_adapter_sets(made, number):
    """What an adapter sets when it begins counts: a trainer may say that there is one."""
    door, module = made(MEETS + f'''
    def initialise(self):
        self.parallelism = {number}
''', with_parallelism(4))
    assert door.runner.parallelism == 1
    threads = [threading.Thread(target=door.post) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in threads:
        module.MAY.release()
    for thread in threads:
        thread.join(WAIT)
    assert module.Meets.most == 1


def test_a_turn_comes_back(made):
    """A process() that raises gives its turn back."""
    door, _ = made(ANSWERS, with_parallelism(1))
    for how in ("raise", "exit", "none", "dict") * 3:
        assert door.post(body={"how": how})["success"] is (how == "dict")


def test_a_job_that_waits_for_its_turn_stops(made):
    """A cancel ends a job that waits for other requests to be processed."""
    door, module = made(MEETS, with_parallelism(1))
    thread = threading.Thread(target=door.post)
    thread.start()
    until_seen(module, "inside")
    _, status = door.ask("POST", door.path, Prefer="respond-async")
    (job,) = door.live
    assert (job.id, job.cancel()) == (status["id"], True)
    assert end_of(job).state.value == "cancelled"
    assert module.SEEN == ["inside"]
    module.MAY.release()
    thread.join(WAIT)
    assert door.post(body={"quick": "1"})["most"] == 1


def test_turns():
    """Those that wait are let in as others leave, each once."""
    turns = Turns(2)
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(turns.take(Callback()))
    second.enter_context(turns.take(Callback()))
    cancelled = Callback()
    cancelled.cancel()
    with pytest.raises(OperationCancelled), turns.take(cancelled):
        pass
    first.close()
    with turns.take(Callback()):
        pass
    second.close()


@SIGNALS
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
