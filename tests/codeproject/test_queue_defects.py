"""The defects of the real SDK, codeproject-ai-sdk 0.0.21, one by one: a module of ours has none."""

import sys

import pytest

from ..waiting import WAIT, wait_until
from .modules import (ARTICLE, AT_ONCE, ENTRY, FUNCTIONS, LATE, PROBE, QUICKLY, ask,
                      assert_that_pauses_grow, cancel, end_of, ends, running, start, status)
from .queue_server import QueueServer, module


def test_defect_1_a_cancel_stops_the_article(tmp_path, steps):
    """The article's function, which its own cancel does not stop, stops at its next report."""
    with running(tmp_path, ARTICLE, before=AT_ONCE, steps=steps) as (server, _):
        id = server.request("command")["commandId"]
        run = steps.begun()
        for _ in range(3):
            run.step()
        assert cancel(server, id)["commandStatus"] == "cancelling"
        assert run.step() is False
        end = end_of(server, id)
        assert (end["success"], end["commandStatus"], end["result"]) == (
            False, "cancelled", "1 2 3 4")
        id = server.request("command")["commandId"]  # and the next one runs to its end
        run = steps.begun()
        while run.step():
            pass
        assert end_of(server, id)["result"] == "1 2 3 4 5 6 7 8 9 10"


def test_defect_2_what_runs_is_not_cancelled(tmp_path, steps):
    """Of code that runs on nothing says that it is cancelled, and no other starts beside it."""
    with running(tmp_path, steps=steps, before=AT_ONCE) as (server, _):
        id = start(server, "long-stubborn")
        run = steps.begun()
        refused = ask(server, "long-stubborn")
        assert (refused["success"], refused["commandId"], refused["error"]) == (
            False, id, "A long running command is already in progress")
        for _ in range(3):
            assert cancel(server, id)["commandStatus"] == "cancelling"
            assert status(server, id)["commandStatus"] == "cancelling"
            refused = ask(server, "long-stubborn")
            assert (refused["success"], "commandId" in refused) == (False, False)
            assert "still being stopped" in refused["error"]
        run.step()
        end_of(server, id)
        start(server, "long-stubborn")
        assert steps.begun()


def test_defect_3_stubborn_commands_hold_up_nothing(tmp_path, steps):
    """However often a command is started and cancelled, the module answers."""
    with running(tmp_path, steps=steps, before=AT_ONCE) as (server, _):
        id = start(server, "long-stubborn")
        steps.begun()
        for _ in range(30):
            ask(server, "long-stubborn")
            assert cancel(server, id)["success"] is True
            assert ask(server, "echo")["success"] is True
            assert status(server, id)["success"] is True


def test_defect_4_a_coroutine_is_cancelled(tmp_path, steps):
    """A coroutine is stopped where it waits, and its status is answered then."""
    with running(tmp_path, steps=steps) as (server, _):
        id = start(server, "long-coroutine")
        run = steps.begun()
        assert cancel(server, id)["success"] is True
        assert run.wait() is False
        assert end_of(server, id)["commandStatus"] == "cancelled"
        assert status(server, id)["commandStatus"] == "cancelled"


def test_defect_5_every_answer_is_sent(tmp_path):
    """An answer without ``success``, one that is no object, and NaN are answers."""
    with running(tmp_path) as (server, _):
        assert [ask(server, mode)["success"] for mode in (
            "nosuccess", "list", "bytes", "nan")] == [True] * 4
        assert end_of(server, start(server, "long-nan"))["loss"] is None


def test_defect_6_a_reply_is_of_its_request(tmp_path):
    """Replies about one result, to many requests at once, are each its own request's."""
    with running(tmp_path, CPAI_MODULE_PARALLELISM="4") as (server, _):
        id = start(server, "long-measured")
        end_of(server, id)
        sent = [server.send("get_command_status", [("commandId", [id])]) for _ in range(400)]
        assert [request.reply()["requestId"] for request in sent] == [one.id for one in sent]


@pytest.mark.parametrize("command", [
    "status", "get_module_status", "selftest", "Get_Module_Status"])
def test_defect_7_module_commands_succeed(command, tmp_path):
    """The commands about the module itself are answered."""
    with running(tmp_path) as (server, _):
        reply = server.request(command, [("mode", ["x"])])
        assert (reply["success"], reply["code"]) == (True, 200)
        assert command == "selftest" or reply["numInferences"] == 0


def test_defect_8_quit_is_answered_and_logged(tmp_path):
    """The server learns that a module quits: as a reply, and in its log."""
    with running(tmp_path) as (server, process):
        assert ends(server, process)[1]["success"] is True
        assert "Shutting down" in [log["entry"] for log in server.logs]


def test_defect_9_nothing_is_taken_after_quit(tmp_path):
    """What comes after Quit stays on the queue, for a module that is started next."""
    with running(tmp_path) as (server, process):
        quit = server.quit(server.modules[0])
        sent = server.send("run")
        assert process.wait(WAIT) == 0
        assert [id for id, _ in server.replies] == [quit.id]
        with running(tmp_path, server=server):
            assert sent.reply()["success"] is True


def test_defect_9_what_was_taken_is_answered(tmp_path):
    """A request that was taken from the queue before Quit is answered before the end."""
    with running(tmp_path, before=LATE, CPAI_MODULE_PARALLELISM="2") as (server, process):
        wait_until(lambda: server.parked == 2)
        sent = server.send("run")
        wait_until(lambda: server.parked == 1)
        assert server.quit(server.modules[0]).reply()["success"] is True
        assert isinstance(sent.reply()["success"], bool)
        assert process.wait(WAIT) == 0


def test_defect_9_with_more_than_one_poll(tmp_path):
    """What comes while a module with more polls quits is answered, or stays on the queue."""
    with running(tmp_path, CPAI_MODULE_PARALLELISM="4") as (server, process):
        wait_until(lambda: server.parked == 4)
        sent = [server.quit(server.modules[0]), *(server.send("run") for _ in range(20))]
        assert process.wait(WAIT) == 0
        with running(tmp_path, server=server):
            for request in sent:
                request.reply()


def test_defect_10_a_bad_entry_ends_nothing(tmp_path):
    """After a Quit that names no module, and after no entry at all, the module lives on."""
    with running(tmp_path) as (server, process):
        for text in (ENTRY % ("Quit", "[]"), "not JSON", '{"reqid":"7"}'):
            server.send_raw(text.encode())
            assert ask(server, "echo")["success"] is True
        assert ends(server, process)[0] == 0


def test_defect_11_an_outage_leaves_nothing_behind(tmp_path):
    """After an outage a module is not deaf: it does not pause between polls any more."""
    with running(tmp_path, before=QUICKLY) as (server, _):
        server.faults["poll"] = 500
        wait_until(lambda: len(server.polls) > 20)
        del server.faults["poll"]
        wait_until(lambda: server.parked)
        before = (tmp_path / "pauses").read_text()
        for _ in range(3):
            assert ask(server, "echo")["success"] is True
            wait_until(lambda: server.parked)
        assert (tmp_path / "pauses").read_text() == before


def test_defect_12_an_unknown_queue_is_no_busy_loop(tmp_path):
    """A server that does not know the queue, and says so at once, is asked less and less often."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    with QueueServer() as server, module(server, sys.executable, "-m", "longop.codeproject",
                                         "functions:count", folder=tmp_path,
                                         CPAI_MODULE_QUEUENAME="unknown"):
        wait_until(lambda: len(server.polls) > 4)
        assert_that_pauses_grow(server.polls)


@pytest.mark.parametrize("cpus", ["1", "2", "7", "None"])
def test_defect_13_parallelism_0(cpus, tmp_path):
    """A parallelism of 0 is half the processors, and at least one request at a time."""
    with running(tmp_path, before=f"import os; os.cpu_count = lambda: {cpus}",
                 CPAI_MODULE_PARALLELISM="0") as (server, _):
        wanted = {"7": 3}.get(cpus, 1)
        wait_until(lambda: server.parked == wanted)
        assert ask(server, "echo")["success"] is True


def test_defect_14_a_command_that_exits(tmp_path):
    """A command that wants to exit has failed, and the module lives on."""
    with running(tmp_path) as (server, process):
        id = start(server, "long-baseexc")
        assert end_of(server, id)["commandStatus"] == "failed"
        assert status(server, id)["success"] is False
        assert ends(server, process)[0] == 0


def test_defect_15_any_result(tmp_path):
    """What a command returns need be no object, and is its result each time one asks."""
    with running(tmp_path) as (server, _):
        id = start(server, "long-list")
        assert end_of(server, id)["result"] == [1, 2]
        assert status(server, id)["result"] == [1, 2]


def test_defect_16_what_is_done_is_done(tmp_path):
    """A cancel takes no result away; what has failed says so; an id and a status are true."""
    with running(tmp_path) as (server, _):
        old = start(server, "long-measured")
        assert end_of(server, old)["inferenceMs"] == 20
        reply = cancel(server, old)
        assert (reply["success"], reply["commandStatus"], reply["error"]) == (
            False, "completed", "The command has already completed")
        id = start(server, "long-raise")
        end = end_of(server, id)
        assert (end["commandStatus"], end["message"], end["error"]) == (
            "failed", "The command has failed", "boom in long process")
        assert cancel(server, id)["error"] == "The command has already failed"
        id = start(server, "long-override")
        end = end_of(server, id)
        assert (end["message"], end["commandId"], end["commandStatus"]) == ("mine", id, "completed")
        assert status(server, old)["inferenceMs"] == 20


def test_defect_17_statistics(tmp_path, steps):
    """A start counts once it has ended, as it ended; what raised counts as failed."""
    with running(tmp_path, steps=steps) as (server, _):
        def counts():
            reply = server.request("get_module_status")
            return (reply["successfulInferences"], reply["failedInferences"],
                    reply["numInferences"], reply["averageInferenceMs"])

        id = start(server, "long-stubborn")
        run = steps.begun()
        assert counts() == (0, 0, 0, 0)
        run.step()
        end_of(server, id)
        assert counts() == (1, 0, 1, 0)
        ask(server, "measured")
        assert counts() == (2, 0, 2, 20)
        end_of(server, start(server, "long-measured"))
        assert counts() == (3, 0, 3, 20)
        ask(server, "raise")
        ask(server, "no")
        end_of(server, start(server, "long-raise"))
        end_of(server, start(server, "long-false"))
        assert counts() == (3, 4, 7, 20)


def test_defect_19_an_import_changes_nothing(tmp_path):
    """The import prints nothing, leaves the path alone, and needs no package."""
    script = ("import sys; path = [*sys.path]; import longop.codeproject.queue;"
              "assert sys.path == path; print('PIL' in sys.modules)")
    with QueueServer() as server, module(server, sys.executable, "-W", "error", "-c", script,
                                         folder=tmp_path) as process:
        assert process.wait(WAIT) == 0
    assert (tmp_path / "output").read_text() == "False\n"


@pytest.mark.parametrize("settings", [
    {"CPAI_LOG_VERBOSITY": "lound"}, {"CPAI_MODULE_PARALLELISM": "many"},
    {"CPAI_MODULE_PARALLELISM": "-1"}, {"CPAI_MODULE_REQUIRED_MB": "x"},
    {"CPAI_HALF_PRECISION": "Enable"}, {"CPAI_MODULE_ENABLE_GPU": ""},
    {"CPAI_LOG_VERBOSITY": "LOUD"}, {"CPAI_APPROOTPATH": ""}], ids=str)
def test_defect_21_settings_that_are_wrong(settings, tmp_path):
    """A setting that is wrong is as if it were not there."""
    with running(tmp_path, **settings) as (server, process):
        assert ask(server, "echo")["success"] is True
        assert ends(server, process)[0] == 0


def test_defect_21_a_port_that_is_none(tmp_path):
    """A port that is none is the usual one, for all that is sent."""
    (tmp_path / "adapter.py").write_text(
        "from longop.codeproject import ModuleRunner\n"
        "runner = ModuleRunner()\nprint(runner.port, runner.base_api_url)")
    with QueueServer() as server, module(server, sys.executable, "adapter.py", folder=tmp_path,
                                         CPAI_PORT="many") as process:
        assert process.wait(WAIT) == 0
    assert (tmp_path / "output").read_text() == "32168 http://localhost:32168/v1/\n"


@pytest.mark.parametrize("text", [
    '{"Modules": {"Demo": {"Name": "A demo",}}}',
    '/* a */ {"Modules": /* b */ {"Demo": {"Name": "A demo"}}} // c',
    '\ufeff{"Modules": {"Demo": {"Name": "A demo"}}}',
    '\ufeff{"Modules": {"Demo": {"name": "A demo", "Description": "// /* \u4e16"}}}'])
def test_defect_23_settings_as_the_server_reads_them(text, tmp_path):
    """Without its id and name in the environment, a module reads them as CodeProject does."""
    (tmp_path / "modulesettings.json").write_text(text, encoding="utf-8")
    with running(tmp_path, PROBE, "Demo", CPAI_MODULE_ID="", CPAI_MODULE_NAME="",
                 CPAI_MODULE_QUEUENAME="") as (server, _):
        reply = ask(server, "echo")
        assert (reply["moduleId"], reply["moduleName"]) == ("Demo", "A demo")


def test_defect_24_loud(tmp_path, steps):
    """At the loudest, a command without a name is answered, and a cancel is."""
    with running(tmp_path, steps=steps, CPAI_LOG_VERBOSITY="Loud") as (server, _):
        assert server.request("")["dataCommand"] == ""
        assert server.request(None)["command"] == ""
        id = start(server, "long-coroutine")
        steps.begun()
        assert cancel(server, id)["success"] is True
        assert end_of(server, id)["commandStatus"] == "cancelled"
