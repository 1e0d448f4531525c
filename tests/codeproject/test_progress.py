"""`longop.codeproject.progress`: what an adapter says of its command, as a report."""

import threading
import types

import pytest

from longop import State
from longop.codeproject import checkpoints, progress
from longop.codeproject.progress import Said

from ..waiting import WAIT, end_of, wait_until
from .adapters import HEAD

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"


@pytest.mark.parametrize(("status", "said"), [
    ({}, Said()),
    ({"success": True, "result": ""}, Said("")),
    ({"success": True, "result": None, "reply": None}, Said()),
    ({"success": True, "reply": "It was"}, Said("It was")),
    ({"success": True, "message": "on it", "result": [1]}, Said([1], None, None, "on it")),
    ({"success": False, "error": "no memory"}, Said(message="no memory")),
    ({"result": "x", "step": 1, "total": 2, "message": "m"}, Said("x", 1, 2, "m")),
    ({"step": "a", "total": "b"}, Said(None, "a", "b")),
    ({"step": 3, "steps": 20}, Said(None, 3, 20)),
    ({"current_step": 3, "steps": 20, "images": [PNG]}, Said({"images": [PNG]}, 3, 20)),
    ({"current_step": 3, "num_steps": 20}, Said(None, 3, 20)),
    ({"steps": ["load", "train"]}, Said({"steps": ["load", "train"]})),
    ({"progress": 0.29}, Said(None, 29.0, 100)),
    ({"progress": 1.0}, Said(None, 100.0, 100)),
    ({"progress": 1}, Said(None, 1, 100)),
    ({"progress": 42.5}, Said(None, 42.5, 100)),
    ({"progress": 0}, Said(None, 0, 100)),
    ({"progress": True}, Said({"progress": True})),
    ({"progress": "half"}, Said("half")),
    ({"progress": 42, "current_step": 3, "steps": 20}, Said(None, 3, 20)),
    ({"result": "x", "loss": 0.5}, Said({"result": "x", "loss": 0.5})),
    ({"number": 5}, Said({"number": 5})),
    ({"commandStatus": "x", "moduleId": "y", "code": 200, "inferenceMs": 7}, Said())])
def test_what_is_said(status, said):
    """Known words make the bar and the message; all others are the partial result."""
    assert progress.read(status) == said


def test_lists_that_grow_are_copied():
    """What an adapter goes on filling is a change each time, and never changes a report."""
    images = []
    first = progress.read({"images": images, "deep": {"a": [images]}})
    images.append(PNG)
    assert first.result == {"images": [], "deep": {"a": [[]]}}
    assert progress.differ(first, progress.read({"images": images, "deep": {}}))


def test_what_cannot_be_compared_differs():
    """A value such as an array, which has no single answer, counts as a change."""
    class Array:
        def __ne__(self, other):
            return self

        def __bool__(self):
            raise ValueError("ambiguous")

    assert progress.differ([Array()], [Array()]) is True
    assert progress.differ([1], [1]) is False


# The words of public modules' kinds, at every door

WORDS = HEAD + '''
class Words(ModuleRunner):
    said = {}

    def process(self, data):
        return self.long

    def long(self, data):
        MAY.acquire(timeout=10)
        return {"success": True, "reply": "at last", "processMs": 5}

    def command_status(self):
        return self.said

    def cancel_command_task(self):
        self.force_shutdown = False
        MAY.release()
'''


def test_every_door_shows_what_is_said(made):
    """The plain routes show a bar and a partial result, CodeProject's what the adapter said."""
    door, module = made(WORDS)
    job = door.start()
    said = {"success": True, "reply": "It", "current_step": 5, "steps": 20}
    door.runner.said = said
    wait_until(lambda: job.status().step == 5, 3 * WAIT)
    code, plain = door.ask("GET", f"/v1/jobs/{job.id}")
    assert (code, plain["result"], plain["progress"]) == (200, "It", 0.25)
    answer = door.status(job.id)
    assert {key: answer[key] for key in said} == said
    module.MAY.release()
    assert end_of(job).result["reply"] == "at last"


def test_what_no_checkpoint_announces_is_seen(made, monkeypatch):
    """What changes while the command does not use its adapter is seen by the next look."""
    monkeypatch.setattr(checkpoints, "LOOK_INTERVAL", 0.01)
    door, module = made(WORDS)
    job = door.start()
    for step in range(1, 4):  # set in another thread, as by a reader of a status file
        object.__setattr__(door.runner, "said", {"progress": step})
        wait_until(lambda step=step: job.status().step == step)
    module.MAY.release()
    end_of(job)


def test_slow_looks_take_a_tenth_of_the_time(monkeypatch):
    """The pause after a look is nine times as long as the look took."""
    pauses, looks, now = [], [], [0.0]

    class Ended(threading.Event):
        def wait(self, seconds=None):
            pauses.append(seconds)
            return len(pauses) > 3

    class Runner:
        def command_status(self):
            looks.append(now[0])
            now[0] += len(looks) - 1
            return {}

    monkeypatch.setattr(checkpoints, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    made = checkpoints.Checkpoints(Runner(), checkpoints.Callback())
    made._has_ended = Ended()
    made._changed.set()
    monkeypatch.setattr(made._changed, "wait", lambda seconds: True)
    made._keep_looking()
    assert len(looks) == 3
    assert pauses == [checkpoints.REPORT_DELAY, checkpoints.REPORT_DELAY, 9, 18]


# After a cancel


def test_a_command_that_ends_itself_is_completed_there(made, grace):
    """After a cancel, an adapter's own end is answered as the SDK does; elsewhere: cancelled."""
    grace(1e6)
    door, _ = made(WORDS)
    job = door.start()
    door.cancel(job.id)
    assert end_of(job).state is State.CANCELLED
    answer = door.status(job.id)
    assert {key: answer[key] for key in list(answer)[:8]} == {
        "success": True, "message": "Command has completed", "commandId": job.id,
        "commandStatus": "completed", "error": None, "reply": "at last", "processMs": 5,
        "stop_reason": "cancelled"}
    assert "inferenceMs" not in answer  # which the adapter has not said
    _, plain = door.ask("GET", f"/v1/jobs/{job.id}")
    assert (plain["state"], plain["stop_reason"]) == ("cancelled", "cancelled")


def answer_after_cancel(made, was, says):
    """Return the answer about a command that was cancelled and then says something else."""
    door, _ = made(WORDS.replace(was, says))
    job = door.start()
    door.cancel(job.id)
    end_of(job)
    return door.status(job.id)


def test_its_own_stop_reason_counts(made, grace):
    """What the adapter says of how it ended is passed on."""
    grace(1e6)
    answer = answer_after_cancel(made, '"processMs": 5', '"stop_reason": "was told"')
    assert answer["stop_reason"] == "was told"


def test_an_own_end_without_success_is_cancelled(made, grace):
    """An adapter that says that it did not succeed is answered as cancelled."""
    grace(1e6)
    answer = answer_after_cancel(made, '"success": True, "reply"', '"success": False, "reply"')
    assert (answer["success"], answer["commandStatus"], answer["reply"]) == (
        False, "cancelled", "at last")


def test_a_command_that_was_stopped_says_so(made, grace):
    """A command that longop stopped has its partial result, why it stopped, and its times."""
    grace(0.01)
    door, _ = made(HEAD + '''
class Chat(ModuleRunner):
    reply = ""

    def process(self, data):
        return self.long

    def long(self, data):
        while True:
            self.reply += "a"
            SEEN.append(1)
            MAY.acquire(timeout=0.001)

    def command_status(self):
        return {"success": True, "reply": self.reply, "tokens": len(self.reply)}
''')
    job = door.start()
    wait_until(lambda: job.status().result is not None)
    door.cancel(job.id)
    end_of(job)
    answer = door.status(job.id)
    assert (answer["success"], answer["commandStatus"], answer["stop_reason"]) == (
        False, "cancelled", "cancelled")
    assert answer["tokens"] == len(answer["reply"]) > 0
    assert type(answer["processMs"]) is type(answer["inferenceMs"]) is int
