"""Operations on Dask: a cluster of two worker processes on this machine."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import wait
from pathlib import Path

import pytest

from longop import LongOperation, State

from ..workers.remote_functions import count, fail, note, wait_for, write

ROOT = Path(__file__).resolve().parents[2]
WAIT = 30  # seconds until a test that hangs fails
PEER = importlib.util.find_spec("distributed")
pytestmark = pytest.mark.skipif(not PEER and os.environ.get("LONGOP_INTEROP") != "1",
                                reason="needs Dask: distributed")


@pytest.fixture(scope="module")
def client():
    assert PEER, "LONGOP_INTEROP=1, and there is no Dask"
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                      dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client
    assert multiprocessing.active_children() == []


@pytest.fixture
def operate(client):
    """Make operations on the cluster, and end them with the test."""
    made = []

    def operate(function, **options):
        made.append(LongOperation(function, executor=client.get_executor(), **options))
        return made[-1]

    client.wait_for_workers(2, timeout=WAIT)  # one may have been killed just now
    yield operate
    for operation in made:
        operation.close()


def end_of(job):
    """Wait for the end of a job and return its last status."""
    assert wait([job], WAIT).done, job
    return job.status()


def pid(job):
    """Return the process that a job runs in, as its function reports it."""
    return int(wait_for(lambda: job.status().message).split()[1])


def test_progress_is_seen_while_it_runs(operate, tmp_path):
    """Each report is seen while the function goes on, on a worker, then its value."""
    job = operate(count).start(folder=tmp_path)
    for number in (1, 2, 3):
        wait_for(lambda: job.status().step == number)  # noqa: B023
        status = job.status()
        assert (status.state, status.result, status.total) == (State.RUNNING, "x" * number, 3)
        (tmp_path / f"go{number}").touch()
    assert job.result(WAIT) == "all"
    assert pid(job) in [child.pid for child in multiprocessing.active_children()]


def test_cancel_stops_the_code_on_the_worker(operate, tmp_path):
    """After `cancelled` the function has stopped on its worker, and what it did ceases."""
    file = tmp_path / "file"
    job = operate(write).start(file=file)
    wait_for(lambda: job.status().result)
    assert job.cancel()
    status = end_of(job)
    assert (status.state, status.stop_reason, status.result) == (
        State.CANCELLED, "cancelled", "writing")
    text = file.read_text()
    assert text.endswith("xstopped")
    for again in [operate(fail, limit=2).start() for _ in range(2)]:
        assert end_of(again).error == "ValueError: wrong"
    assert file.read_text() == text


def test_limit_of_two_runs_on_two_workers(operate, tmp_path):
    """Two jobs run at once, each on a worker of its own; a third one waits for its turn."""
    operation = operate(count, limit=2)
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    jobs = [operation.start(folder=folder) for folder in folders]
    assert len({pid(jobs[0]), pid(jobs[1]), os.getpid()}) == 3
    assert [job.state for job in jobs] == [State.RUNNING, State.RUNNING, State.QUEUED]
    for folder in folders:
        for number in (1, 2, 3):
            (folder / f"go{number}").touch()
    assert [job.result(WAIT) for job in jobs] == ["all"] * 3


def test_cancel_of_what_waits_on_the_cluster(operate, tmp_path):
    """A job that waits for a worker is cancelled at once, and never runs."""
    busy = operate(count, limit=2)
    running = [busy.start(folder=tmp_path) for _ in range(2)]
    for job in running:
        pid(job)
    operation = operate(note)
    job = operation.start(file=tmp_path / "never")
    job.cancel()
    assert end_of(job).state is State.CANCELLED
    assert [job.state for job in running] == [State.RUNNING] * 2
    for number in (1, 2, 3):
        (tmp_path / f"go{number}").touch()
    assert [job.result(WAIT) for job in running] == ["all"] * 2
    operation.start(file=tmp_path / "after").result(WAIT)
    assert [path.name for path in tmp_path.glob("[!g]*")] == ["after"]


def test_worker_that_is_killed(operate, tmp_path):
    """A job whose worker is killed has failed, though Dask starts it again: it runs once only."""
    file = tmp_path / "file"
    job = operate(write).start(file=file)
    os.kill(pid(job), signal.SIGKILL)
    status = end_of(job)
    assert (status.state, status.stop_reason, status.result) == (State.FAILED, "error", "writing")
    assert status.error.startswith("WorkerLost: ")
    text = file.read_text()
    assert set(text) == {"x"}  # it was killed, so had no time to say that it stopped
    for again in [operate(fail, limit=2).start() for _ in range(2)]:
        end_of(again)  # whatever Dask still had to do
    assert file.read_text() == text


def is_there(group):
    """Tell whether a process of a group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_example():
    """The example shows its progress, Ctrl-C cancels it, and nothing is left of it."""
    with subprocess.Popen([sys.executable, "-m", "examples.on_dask"], cwd=str(ROOT),
                          start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(3)]
            assert lines == ["running    \n", "running    1\n", "running    1 2\n"]
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
            rest, errors = process.communicate(timeout=WAIT)
        finally:
            process.kill()
    assert rest.splitlines()[::len(rest.splitlines()) - 1] == ["cancelling 1 2", "cancelled  1 2 3"]
    assert (process.returncode, "Traceback" in errors) == (0, False), errors
    wait_for(lambda: not is_there(process.pid))


def test_example_without_dask():
    """Without Dask the example says what to install."""
    script = "import sys; sys.modules['distributed'] = None; import examples.on_dask as example; "
    done = subprocess.run([sys.executable, "-c", script + "example.main()"], cwd=str(ROOT),
                          capture_output=True, text=True, timeout=WAIT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "this needs Dask: python3 -m pip install distributed\n"
