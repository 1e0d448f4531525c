"""`longop.codeproject.queue`: a module of CodeProject.AI Server, beside a stand-in for it."""

import json

import pytest

from longop.codeproject.queue import FIRST_PAUSE, LONGEST_PAUSE

from ..waiting import WAIT, wait_until
from .modules import (ARTICLE, AT_ONCE, ENTRY, PROBE, QUICKLY, ask, ends, pauses, running, start,
                      status)
from .queue_server import QueueServer

# What the server does not take is given up at once.
IMPATIENT = "import longop.codeproject.connection as connection; connection.TIMEOUT = 0.2"


# What is no entry, and a server that is not as it should be


BAD = ["", "not JSON", '{"payload":{"command":"comm', "null", "[]", "5", '"text"', "{}", "\ufeff",
       "[" * 100_000, '{"reqid":"7"}', '{"payload":null,"reqid":"7","reqtype":""}',
       '{"payload":[],"reqid":"7"}', '{"payload":5,"reqid":"7"}', '{"payload":"text","reqid":"7"}',
       *(ENTRY % ("Quit", values) for values in (
           "null", "[]", '[{"key":"moduleId","value":[null]}]', '[{"key":"moduleId","value":[""]}]',
           '[{"key":"ModuleId","value":["PythonLongProcess"]}]',
           '[{"key":"moduleId","value":["another"]}]'))]
ODD = ['{"payload":{"command":5},"reqid":"7"}', '{"payload":{"command":{"a":1}},"reqid":"7"}',
       '{"payload":{"command":null},"reqid":"7"}', '{"payload":{},"reqid":"7"}',
       *(ENTRY % ("get_command_status", values) for values in (
           "null", "5", "[null]", "{}", '[{"key":"commandId"}]', '[{"value":["x"]}]',
           '[{"key":"commandId","value":null}]', '[{"key":"commandId","value":[]}]',
           '[{"key":"commandId","value":[null]}]', '[{"key":"commandId","value":[{"a":1}]}]',
           '[{"key":"commandId","value":"x"}]', '[{"key":"commandId","value":5}]'))]


def test_what_is_no_entry(tmp_path):
    """What is no entry, or a Quit that is not for this module, starts nothing and ends nothing."""
    with running(tmp_path, ARTICLE) as (server, process):
        for text in [*BAD, "\udcff\udcfe"]:
            server.send_raw(text.encode(errors="surrogateescape"))
            assert status(server, "x")["commandStatus"] == "not started", repr(text[:100])
        for text in ('{"payload":{"command":"get_command_status"},"reqid":7}',
                     '{"payload":{"command":"get_command_status"},"reqid":null}',
                     '{"payload":{"command":"get_command_status"}}'):
            server.send_raw(text.encode())
            assert status(server, "x")["commandStatus"] == "not started", text
        assert ends(server, process)[0] == 0


@pytest.mark.parametrize("text", ODD)
def test_odd_entries(text, tmp_path):
    """What is odd in an entry is answered, as all is whose id is known."""
    with running(tmp_path) as (server, process):
        server.send_raw(text.encode())
        assert ask(server, "echo")["success"] is True
        (id, body), _ = server.replies
        assert (id, type(json.loads(body)["success"])) == ("7", bool)
        assert ends(server, process)[0] == 0


@pytest.mark.parametrize("fault", [204, 400, 404, 500, 503, "half"])
def test_polls_that_fail(fault, tmp_path):
    """A server that has only errors, or nothing and at once, is asked again after longer pauses."""
    with running(tmp_path, before=QUICKLY) as (server, _):
        server.faults["poll"] = fault
        wait_until(lambda: len(pauses(tmp_path)) > 5)
        del server.faults["poll"]
        assert ask(server, "echo")["success"] is True
    assert pauses(tmp_path)[:5] == [FIRST_PAUSE * 2 ** number for number in range(5)]


def test_server_that_vanishes(tmp_path):
    """While a server is away it is asked in vain for it; what comes after a minute is answered."""
    with running(tmp_path, before=QUICKLY) as (server, process):
        server.close()
        wait_until(lambda: sum(pauses(tmp_path)) > 60)
        seen = pauses(tmp_path)
        assert seen[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
        assert seen == sorted(seen)
        assert seen[-1] == LONGEST_PAUSE
        server.open()
        assert ask(server, "echo")["success"] is True
        wait_until(lambda: server.parked)
        paused = len(pauses(tmp_path))
        assert [ask(server, "echo")["success"] for _ in range(3)] == [True] * 3
        assert len(pauses(tmp_path)) == paused  # it has recovered
        assert ends(server, process)[0] == 0
    assert len((tmp_path / "output").read_text().splitlines()) == 1  # it says so once


@pytest.mark.parametrize("fault", [400, 500, "half", "hang"])
def test_replies_that_are_not_taken(fault, tmp_path):
    """A reply that the server does not take is lost, and nothing else is."""
    with running(tmp_path, before=IMPATIENT) as (server, process):
        server.faults["reply"] = fault
        lost = server.send("run")
        wait_until(lambda: len(server.polls) > 1)  # it has given up, or been refused
        del server.faults["reply"]
        assert ask(server, "echo")["success"] is True
        assert lost.id not in dict(server.replies)
        assert ends(server, process)[0] == 0


@pytest.mark.parametrize("fault", [500, "half", "hang"])
@pytest.mark.parametrize("kind", ["status", "log"])
def test_statuses_and_logs_that_are_not_taken(kind, fault, tmp_path):
    """A status or a log entry that the server does not take holds up no command, nor the end."""
    with QueueServer("ProbeModule") as server:
        server.faults[kind] = fault
        with running(tmp_path, before=IMPATIENT, server=server) as (_, process):
            assert [ask(server, "echo")["success"] for _ in range(3)] == [True] * 3
            assert ends(server, process)[0] == 0


# Commands


@pytest.mark.parametrize(("mode", "answer"), [
    ("raise", None), ("exit", None), ("interrupt", None), ("none", None),
    ("list", {"success": True, "result": [1, 2]}), ("text", {"success": True, "result": "text"}),
    ("nan", {"success": True, "x": None}), ("raw", {"success": True, "result": "/wA="}),
    ("nosuccess", {"success": True, "x": 1}), ("no", {"success": False, "error": "no"}),
    ("thing", {"success": True, "thing": "<class 'threading.Barrier'>"}),
    ("missing", None)])
def test_answers(mode, answer, tmp_path):
    """Whatever process() raises or returns is answered."""
    with running(tmp_path, PROBE, "ProbeModule") as (server, _):
        request = server.send("run", [("mode", [mode])])
        answer = answer or {
            "success": False, "error": f"unable to process the request (#reqid {request.id})"}
        assert json.dumps(request.reply()) == json.dumps({
            **answer, "moduleId": "ProbeModule", "moduleName": "ProbeModule",
            "code": 200 if answer["success"] else 500, "command": "run", "requestId": request.id,
            "inferenceDevice": "CPU"})


def test_answer_that_is_a_ring(tmp_path):
    """An answer that contains itself is cut."""
    with running(tmp_path) as (server, _):
        assert ask(server, "ring")["ring"]


def test_values(tmp_path):
    """An adapter finds the values of a request, as text or as what it asks for."""
    with running(tmp_path) as (server, _):
        def values(*a):
            return server.request("run", [("mode", ["value"]), ("a", [*a])])["values"]

        assert values("7", "8") == ["7", 7, 7.0, False, "default"]
        assert values("yes") == ["yes", None, None, True, "default"]
        assert values() == [None, None, None, None, "default"]


@pytest.mark.parametrize(("parallelism", "requests"), [("1", 1), ("4", 4)])
def test_parallelism(parallelism, requests, tmp_path, steps):
    """So many requests are processed at a time, and no more are taken from the queue."""
    with running(tmp_path, steps=steps, CPAI_MODULE_PARALLELISM=parallelism) as (server, _):
        wait_until(lambda: server.parked == requests)
        sent = [server.send("run", [("mode", ["ask"])]) for _ in range(requests + 1)]
        runs = [steps.begun() for _ in range(requests)]
        assert server.parked == 0
        runs[0].step()
        runs.append(steps.begun())
        for run in runs[1:]:
            run.step()
        assert [request.reply()["success"] for request in sent] == [True] * (requests + 1)


def test_requests_meet(tmp_path):
    """With a parallelism of 4 four requests are processed at once."""
    with running(tmp_path, CPAI_MODULE_PARALLELISM="4") as (server, _):
        sent = [server.send("run", [("mode", ["meet"])]) for _ in range(4)]
        assert sorted(request.reply()["place"] for request in sent) == [0, 1, 2, 3]


def test_two_modules_on_one_queue(tmp_path, steps):
    """Two modules share the work of a queue; each request is answered once."""
    (tmp_path / "b").mkdir()
    with QueueServer("A", "B") as server, \
            running(tmp_path, server=server, steps=steps) as (_, first), \
            running(tmp_path / "b", server=server, steps=steps, CPAI_MODULE_ID="B"):
        wait_until(lambda: server.parked == 2)
        sent = [server.send("run", [("mode", ["ask"])]) for _ in range(20)]
        for _ in range(10):
            runs = steps.begun(), steps.begun()  # which are one of each
            for run in runs:
                run.step()
        replies = [request.reply()["moduleId"] for request in sent]
        assert (replies.count("A"), replies.count("B")) == (10, 10)
        ids = [id for id, _ in server.replies]
        assert sorted(ids) == sorted({request.id for request in sent})
        while first.poll() is None:  # the other one may take what is for it
            server.quit("A").reply()
            wait_until(lambda: server.parked == 2 or first.poll() is not None)
        wait_until(lambda: server.parked == 1)
        assert ask(server, "echo")["moduleId"] == "B"


def test_statuses(tmp_path):
    """A module reports its status before it has work, with the SDK's keys, order and types."""
    with running(tmp_path) as (server, _):
        wait_until(lambda: server.statuses)
        assert json.dumps(server.statuses[0]) == json.dumps({
            "inferenceDevice": "CPU", "inferenceLibrary": "", "canUseGPU": "false",
            "successfulInferences": 0, "failedInferences": 0, "numInferences": 0,
            "averageInferenceMs": 0})


def test_logs(tmp_path):
    """The server's log gets each command, but for those that come all the time, and each error."""
    with running(tmp_path) as (server, process):
        status(server, "x")
        ask(server, "raise")
        ends(server, process)
        assert [log["log_level"] for log in server.logs if "_queue command" in log["entry"]] == [
            "debug", "debug"]
        assert {log["category"] for log in server.logs} == {server.modules[0]}
        [error] = [log["entry"] for log in server.logs if log["log_level"] == "error"]
        assert "RuntimeError: boom" in error


def test_a_module_status_that_raises(tmp_path):
    """A module_status that raises once is not the last one."""
    source = PROBE.replace("    def cleanup", '''    calls = 0

    def module_status(self):
        Probe.calls += 1
        if Probe.calls == 1:
            raise ValueError("not loaded yet")
        return {"loaded": True}

    def cleanup''')
    quick = "import longop.codeproject.queue; longop.codeproject.queue.STATUS_INTERVAL = 0.05"
    with running(tmp_path, source, "ProbeModule", before=quick) as (server, _):
        wait_until(lambda: server.statuses)
        assert server.statuses[0]["loaded"] is True


# The end


@pytest.mark.parametrize("parallelism", ["1", "4"])
@pytest.mark.parametrize("mode", ["idle", "article", "long-stubborn", "long-coroutine"])
def test_quit(mode, parallelism, tmp_path, steps):
    """Quit is answered and obeyed, whatever runs."""
    article = mode == "article"
    with running(tmp_path, ARTICLE if article else PROBE, before=AT_ONCE, steps=steps,
                 CPAI_MODULE_PARALLELISM=parallelism) as (server, process):
        if mode != "idle":
            start(server, mode)
            steps.begun()
        code, reply = ends(server, process)
        assert (code, reply["success"], reply["code"], reply["command"]) == (0, True, 200, "Quit")
        assert article or (tmp_path / "cleaned").exists()


def test_quit_in_any_case(tmp_path):
    """The id of a module that is to quit is compared without regard to case."""
    with running(tmp_path) as (server, process):
        assert server.quit(server.modules[0].upper()).reply()["success"] is True
        assert process.wait(WAIT) == 0
