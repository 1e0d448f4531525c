"""`longop.codeproject.checkpoints`: how a long command reports, and how it is stopped."""

import threading

import pytest

from longop import Job, OperationCancelled, State
from longop.codeproject import checkpoints
from longop.codeproject.sdk import ModuleRunner

from ..waiting import WAIT, end_of, wait_until
from .adapters import ASYNC, HEAD, STEPS, until_seen


def test_force_shutdown_stops_at_once(made, grace):
    """A command that leaves stopping to us gets the exception when it next uses its adapter."""
    grace(1e6)
    door, module = made(STEPS)
    job = door.start()
    module.MAY.release()
    wait_until(lambda: door.runner.steps == 1)
    door.cancel(job.id)
    assert "told" in module.SEEN
    wait_until(lambda: job.done() or module.MAY.release())
    assert job.status().state is State.CANCELLED
    assert job.status().error is None
    assert job.status().result.startswith("1 ")
    assert door.runner.tidy is True  # its ``finally`` could use the adapter


def test_a_command_that_catches_everything_is_raised_in_again(made, grace):
    """A command that catches even BaseException gets it again after each grace period."""
    grace(0.01)
    door, module = made(HEAD + '''
class Stubborn(ModuleRunner):
    def process(self, data):
        return self.long

    def long(self, data):
        while len(SEEN) < 3:
            try:
                self.x = 1
            except BaseException as error:
                SEEN.append(type(error))
''')
    job = door.start()
    door.cancel(job.id)
    assert end_of(job).state is State.CANCELLED
    assert [one.__name__ for one in module.SEEN] == ["OperationCancelled"] * 3


@pytest.mark.parametrize("force", [True, False])
def test_a_coroutine_is_cancelled_where_it_waits(made, grace, force):
    """A coroutine function need not use its adapter to be cancelled."""
    grace(0.01)
    door, module = made(ASYNC)
    door.runner.force = force
    job = door.start()
    until_seen(module, "waits")
    door.cancel(job.id)
    assert end_of(job).state is State.CANCELLED
    assert module.SEEN == ["waits", "ended"]
    assert door.status(job.id)["commandStatus"] == "cancelled"


def test_a_coroutine_that_forbids_it_is_not_cancelled_before_its_grace(made, grace):
    """With force_shutdown False, even a coroutine goes on until its grace period is over."""
    grace(1e6)
    door, module = made(ASYNC.replace("asyncio.sleep(1000)", "asyncio.sleep(0.05)"))
    door.runner.force = False
    job = door.start()
    until_seen(module, "waits")
    door.cancel(job.id)
    assert end_of(job).state is State.CANCELLED
    assert job.status().error is None
    assert module.SEEN == ["waits", "ended"]


@pytest.mark.parametrize("body", ["raise ValueError('no')", "raise SystemExit"])
def test_a_cancel_command_task_that_raises(made, grace, body):
    """If cancel_command_task raises, the command stops all the same, and the client is answered."""
    grace(0.01)
    door, module = made(STEPS.replace('SEEN.append("told")', body))
    job = door.start()
    until_seen(module, "begun")
    assert door.cancel(job.id)["success"] is True
    wait_until(lambda: job.done() or module.MAY.release())
    assert job.status().state is State.CANCELLED


def test_a_cancel_command_task_that_waits_for_the_end(made, grace):
    """A cancel_command_task that waits for the end of the command does not prevent it."""
    grace(0.01)
    door, module = made(STEPS.replace(
        'SEEN.append("told")', 'SEEN.append("told"); wait()') + '''
ENDED = threading.Event()
def wait():
    ENDED.wait(10) or SEEN.append("in vain")
''')
    job = door.start()
    job.add_done_callback(lambda job: module.ENDED.set())
    until_seen(module, "begun")
    thread = threading.Thread(target=door.cancel, args=(job.id,))
    thread.start()
    until_seen(module, "told")
    wait_until(lambda: job.done() or module.MAY.release(), 5)
    thread.join(WAIT)
    assert "in vain" not in module.SEEN


def test_a_command_status_that_raises(made):
    """If command_status raises, the status is answered without it."""
    door, module = made(STEPS.replace("steps, result = 0, None", "").replace(
        'self.result, self.steps = "", 0',
        'SEEN.append("begun"); MAY.acquire(timeout=10); self.steps = self.most'))
    job = door.start()
    until_seen(module, "begun")
    code, answer = door.ask("POST", f"/v1/{door.module.id}/get_command_status",
                            {"commandId": job.id})
    module.MAY.release()
    assert code == 200
    assert answer["commandId"] == job.id or "unable to process" in answer["error"]
    end_of(job)


def test_a_late_report_is_not_the_last(made):
    """A slow command_status does not overwrite what a later one said."""
    door, module = made(HEAD + '''
ASKED, MAY_SAY = threading.Event(), threading.Event()
class Slow(ModuleRunner):
    result = "old"

    def process(self, data):
        return self.long

    def long(self, data):
        self.x = 1
        ASKED.wait(10)
        # No checkpoint, so that no further look makes up for one that is overtaken.
        object.__setattr__(self, "result", "new")
        raise ValueError

    def command_status(self):
        result = self.result
        if not ASKED.is_set():
            ASKED.set()
            MAY_SAY.wait(10)
            SEEN.append("said")
        return {"result": result}
''')
    operation = door.operations[0]
    looked = threading.Event()
    finish = Job.finish

    def late(job, *args, **options):
        if not looked.is_set():
            looked.set()
            module.MAY_SAY.set()
            until_seen(module, "said")
            threading.Event().wait(0.05)
        return finish(job, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "finish", late)
        job = operation.start()
        assert end_of(job).result == "new"


def test_cancelled_outside_of_a_command():
    """Other threads can use an adapter while its command is being cancelled."""
    runner = ModuleRunner()
    checkpoints.running.checkpoint = lambda: (_ for _ in ()).throw(OperationCancelled())
    try:
        with pytest.raises(OperationCancelled):
            runner.x = 1
        thread = threading.Thread(target=lambda: setattr(runner, "y", runner.x))
        thread.start()
        thread.join()
    finally:
        checkpoints.running.checkpoint = None
    assert runner.y == 1
