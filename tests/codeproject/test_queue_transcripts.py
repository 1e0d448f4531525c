"""Transcripts of the real SDK, replayed to a module of ours.

The defects whose numbers stand here are those of codeproject-ai-sdk 0.0.21.
"""

import http.client
import itertools
import json
from pathlib import Path

import pytest

from ..waiting import WAIT
from .modules import ARTICLE, AT_ONCE, PROBE, end_of, running
from .queue_server import QueueServer
from .transcripts import (CANCELLED, CANCELLING, COMPLETED, DONE, FAILED, STATUS,
                          STILL_STOPPING, text_of, whole)

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text(encoding="utf-8"))
# All that we answer differently, before what stands in every reply: the defect, and our answer.
DIFFERENCES = {
    # An old command's id still answers, as its result is not lost.
    ("01_lifecycle", 18): (16, COMPLETED),
    # The code still runs: it is being cancelled, and has not been.
    ("02_cancel", 3): (1, CANCELLING),
    ("02_cancel", 4): (1, STILL_STOPPING),
    ("02_cancel", 5): (1, CANCELLING),
    ("02_cancel", 6): (1, {**CANCELLING, "result": "1 2 3"}),
    # The code has ended at its next report. There it ran on to its end, and was `completed`.
    ("02_cancel", 7): (1, CANCELLED),
    ("02_cancel", 8): (1, CANCELLED),
    # A command that has completed is not cancelled by a cancel, and keeps its result.
    ("02_cancel", 10): (16, {"success": False, "commandId": "{job 2}",
                             "commandStatus": "completed",
                             "error": "The command has already completed"}),
    ("02_cancel", 11): (16, {**COMPLETED, "commandId": "{job 2}"}),
    # Every answer is sent.
    ("04_module_errors", 2): (5, {"success": True, "x": 1}),
    ("04_module_errors", 3): (5, {"success": True, "result": [1, 2]}),
    ("04_module_errors", 4): (5, {"success": True, "x": None}),
    ("04_module_errors", 5): (5, {"success": True, "x": "/wA="}),
    ("04_module_errors", 9): (18, {"success": True, "queue": None}),
    ("04_module_errors", 11): (7, STATUS),
    ("04_module_errors", 12): (7, STATUS),
    ("04_module_errors", 13): (7, {"success": True}),
    ("04_module_errors", 15): (16, FAILED),
    ("04_module_errors", 16): (16, FAILED),
    ("04_module_errors", 21): (15, {**DONE, "commandId": "{job 3}", "result": [1, 2]}),
    ("04_module_errors", 22): (15, {**DONE, "commandId": "{job 3}", "result": [1, 2]}),
    ("04_module_errors", 27): (16, {**DONE, "message": "mine", "commandId": "{job 5}"}),
    ("04_module_errors", 28): (16, {**DONE, "message": "mine", "commandId": "{job 5}"}),
    ("04_module_errors", 30): (5, {**DONE, "commandId": "{job 6}", "loss": None}),
    ("04_module_errors", 31): (5, {**DONE, "commandId": "{job 6}", "loss": None}),
    ("04_module_errors", 33): (14, {**FAILED, "commandId": "{job 7}", "error": "3"}),
}
# How many steps the function is to have done before a place in the transcript.
PLANS = {"01_lifecycle": {5: 1, 6: 2, 13: 3, 14: 9, 15: 10}, "02_cancel": {3: 3, 7: 4, 10: 10}}


def send(server, payload):
    """Send what is in an entry."""
    return server.send(payload["command"], payload["values"] and [
        (value["key"], value["value"]) for value in payload["values"]],
        payload["files"], payload["urlSegments"])


@pytest.mark.parametrize("name", GOLDEN)
def test_transcript(name, tmp_path, steps):
    """A server gets the replies of the SDK, in keys, order, texts and types, but for defects."""
    probe = "routes_content" in name or "errors" in name
    jobs, run, id = {}, None, ""

    def ours(text):
        for theirs, id in jobs.items():
            text = text.replace(theirs, id).replace(theirs.upper(), id.upper())
        return text

    with running(tmp_path, PROBE if probe else ARTICLE,
                 "ProbeModule" if probe else "PythonLongProcess", before=AT_ONCE, steps=steps,
                 CPAI_MODULE_NAME="Probe Module" if probe else "Python Long Process Demo",
                 GATED="what is long begins when its start is answered") as (server, _):
        for place, row in enumerate(GOLDEN[name]):
            for _ in range(PLANS.get(name, {}).get(place, 0) - (run.done if run else 0)):
                run.step()
            if run and run.has_ended:
                end_of(server, id)
            payload = json.loads(ours(row["entry"]))["payload"]
            request = send(server, payload)
            reply, wanted = request.reply(), row["reply"]
            if (name, place) in DIFFERENCES:
                wanted = whole(DIFFERENCES[name, place][1], payload, probe)
            assert text_of(reply, wanted) == ours(json.dumps(wanted)).replace(
                "{reqid}", request.id), (place, row)
            if reply.get("commandStatus") == "running" and reply["commandId"] == request.id:
                id = jobs[f"{{job {len(jobs) + 1}}}"] = request.id
                run = steps.begun()
                if probe:
                    run.step()


def test_differences():
    """Each of the differences is one."""
    for (name, place), (defect, head) in DIFFERENCES.items():
        row = GOLDEN[name][place]
        payload = json.loads(row["entry"])["payload"]
        assert whole(head, payload, "errors" in name) != row["reply"], (defect, name, place)


def test_stand_in():
    """The stand-in hands out the entries that the real SDK was handed, byte for byte."""
    with QueueServer("any") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
        for row in itertools.chain(*GOLDEN.values()):
            request = send(server, json.loads(row["entry"])["payload"])
            connection.request("GET", "/v1/queue/ANY_queue?moduleId=any")
            entry = connection.getresponse().read().decode()
            assert entry.replace(request.id, "{reqid}") == row["entry"]
        connection.close()
