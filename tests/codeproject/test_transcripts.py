"""What CodeProject.AI Server and its SDK answered, compared with what `longop.serve` answers.

``codeproject.json`` holds real exchanges of the article's example, without what differs from run
to run (ids, times): those values are null there, and only have to be of the right type.
"""

import json
import re
import time
import urllib.request
from pathlib import Path

import pytest

from ..serve.test_main import get, served, wait_for, wait_for_log
from .transcripts import STILL_STOPPING

TRANSCRIPTS = json.loads((Path(__file__).parent / "codeproject.json").read_text())
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW0"
STEPPED = """
import pathlib, time

steps = pathlib.Path(__file__).with_name("steps")

def long_process(callback):
    "The article's example, except that the test says when it steps."
    result = ""
    for step in range(1, 11):
        while int(steps.read_text() or 0) < step:
            time.sleep(0.002)
        result = str(step) if not result else f"{result} {step}"
        callback(result, step)
"""
TYPES = {"requestId": str, "timestampUTC": str, "analysisRoundTripMs": int, "processMs": int,
         "inferenceMs": int}

# How far the function is to be before a place in the transcript, and in which state then.
PLANS = {
    "01_lifecycle": {5: (1, "running"), 6: (2, "running"),
                     **{place: (place - 10, "running") for place in range(13, 20)},
                     20: (10, "completed"), 21: (0, None)},
    "02_cancel": {3: (3, "running"), 7: (4, "cancelled"), 14: (0, None), 15: (10, "completed")},
}
COMPLETED = {"success": True, "message": "Command has completed", "commandId": "{job 1}",
             "commandStatus": "completed", "error": None, "result": "1 2 3 4 5 6 7 8 9 10",
             "stop_reason": "completed", "processMs": None, "inferenceMs": None}
CANCELLED = {"success": False, "message": "The command has been cancelled",
             "commandId": "{job 1}", "commandStatus": "cancelled",
             "error": "The command has been cancelled", "result": "1 2 3 4",
             "stop_reason": "cancelled", "processMs": None, "inferenceMs": None}
CANCELLING = {"success": True, "message": "The command is being cancelled",
              "commandId": "{job 1}", "commandStatus": "cancelling"}
# All that we answer differently, before what stands in every answer, and why.
DIFFERENCES = {
    # An old job's id still answers: its result is not lost when another job starts.
    ("01_lifecycle", 22): COMPLETED,
    # The code still runs: it is being cancelled, and has not been.
    ("02_cancel", 3): CANCELLING,
    ("02_cancel", 4): STILL_STOPPING,
    ("02_cancel", 5): CANCELLING,
    ("02_cancel", 6): {**CANCELLING, "result": "1 2 3"},
    # The code has ended at its next report. There it ran on to its end, and was `completed`.
    **{("02_cancel", place): CANCELLED for place in range(7, 14)},
    # A job that has completed is not cancelled by a cancel, and keeps its result.
    ("02_cancel", 15): {"success": False, "commandId": "{job 2}", "commandStatus": "completed",
                        "error": "The command has already completed"},
    ("02_cancel", 16): {**COMPLETED, "commandId": "{job 2}"},
}


def expected(name, place, reply):
    """Return our answer to a request that CodeProject answered like this."""
    if (name, place) in DIFFERENCES:
        first = DIFFERENCES[name, place]
        common = list(reply)[list(reply).index("moduleId"):]
        reply = {**first, **{key: reply[key] for key in common}}
        reply["code"] = 200 if first["success"] else 500
    # The names are those of our module and function; CodeProject takes them from its settings.
    command = "long_process" if reply["command"] == "command" else reply["command"]
    return {**reply, "moduleId": "pythonlongprocess", "moduleName": "pythonlongprocess",
            "command": command}


class Client:
    """Sends what the transcript's client sent, with our ids in place of its own."""

    def __init__(self, url):
        self.url = url
        self.jobs = {}

    def send(self, line, fields):
        body = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
                       f"{self.ours(value)}\r\n" for name, value in fields) + f"--{BOUNDARY}--\r\n"
        method, path, _ = line.split()
        request = urllib.request.Request(self.url.rstrip("/") + path, body.encode(), {
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/json"
            return json.loads(response.read())

    def ours(self, value):
        for theirs, id in self.jobs.items() if isinstance(value, str) else ():
            value = value.replace(theirs, id).replace(theirs.upper(), id.upper())
        return value

    def wait_until(self, steps, state):
        """Wait until the newest job has reported so many steps and is in a state."""
        deadline = time.monotonic() + 20
        while state:
            job = get(f"{self.url}v1/jobs")["jobs"][0]
            if (job["step"], job["state"]) == (steps, state):
                return
            assert time.monotonic() < deadline, job


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name, tmp_path):
    """CodeProject's clients get the keys, order and texts they know, except untrue ones."""
    steps = tmp_path / "steps"
    steps.write_text("0")
    (tmp_path / "pythonlongprocess.py").write_text(STEPPED)
    with served("pythonlongprocess.py", "--when-busy", "reject", cwd=tmp_path) as (_, _, url):
        client = Client(url)
        for place, row in enumerate(TRANSCRIPTS[name]):
            if place in PLANS[name]:
                steps.write_text(str(PLANS[name][place][0]))
                client.wait_until(*PLANS[name][place])
            wanted = expected(name, place, row["reply"])
            reply = client.send(row["line"], row["fields"])
            if wanted.get("message") == "Command is running in the background":
                client.jobs[f"{{job {len(client.jobs) + 1}}}"] = reply["commandId"]
                assert reply["requestId"] == reply["commandId"]
            assert list(reply) == list(wanted), (place, row["line"])
            for key, value in wanted.items():
                if key in TYPES:
                    assert type(reply[key]) is TYPES[key], (place, key)
                else:
                    assert reply[key] == client.ours(value), (place, row["line"], key)


def test_the_article_stops(tmp_path):
    """The article's function, with ``except Exception`` round its callback, really stops."""
    effects = tmp_path / "effects"
    example = (Path(__file__).parents[2] / "examples" / "long_process.py").read_text()
    assert "    cancelled = False\n    for" in example  # its bug is there
    changed = example.replace("time.sleep(1)", "time.sleep(0.05)").replace(
        "        callback(result, step)\n",
        f"        with open({str(effects)!r}, 'a') as file:\n"
        "            file.write(f'{step} ')\n"
        "        try:\n            callback(result, step)\n"
        "        except Exception:\n            pass\n")
    assert changed.count("except Exception") == 1
    (tmp_path / "article.py").write_text(changed.replace("range(1, 11)", "range(1, 1001)"))
    with served("article.py", cwd=tmp_path) as (process, _, url):
        id = get(url + "v1/article/a_long_process", b"")["commandId"]
        while get(url + "v1/jobs/" + id)["step"] is None:
            pass
        cancel = get(f"{url}v1/article/cancel_command?commandId={id}", b"")
        assert cancel["commandStatus"] in ("cancelling", "cancelled")
        wait_for_log(process, "cancelled")
        wait_for(url, id, state="cancelled")  # the log is a moment ahead
        done = effects.read_text()
        status = get(f"{url}v1/article/get_command_status?commandId={id}")
        assert (status["success"], status["commandStatus"]) == (False, "cancelled")
        assert status["result"] == done.strip()
        assert len(re.findall(r"\d+", done)) < 1000
        # It has ended, so the next job runs at once, and the first one does nothing any more.
        id = get(url + "v1/article/a_long_process", b"")["commandId"]
        get(f"{url}v1/jobs/{id}/cancel", b"")
        wait_for_log(process, f"{id} article/a_long_process cancelled")
        assert effects.read_text() == done + "1 "
