"""What a notebook decorates runs in executors that send code by value, as cloudpickle does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .peers import needs

ROOT = Path(__file__).resolve().parents[2]

# An executor of a stranger: longop knows nothing of it. Each call has a process of its own.
OWN = """
import cloudpickle, pickle, subprocess, sys, threading
from concurrent.futures import Executor, Future

THERE = '''
import pickle, sys
function, arguments = pickle.load(sys.stdin.buffer)
import cloudpickle
sys.stdout.buffer.write(cloudpickle.dumps(function(*arguments)))
'''

class Own(Executor):
    def submit(self, function, *arguments):
        future = Future()
        threading.Thread(target=self.run, args=(future, function, arguments)).start()
        return future

    def run(self, future, *call):
        try:
            done = subprocess.run([sys.executable, "-c", THERE], input=cloudpickle.dumps(call),
                                  stdout=subprocess.PIPE, check=True)
            future.set_result(pickle.loads(done.stdout))
        except Exception as error:
            future.set_exception(error)

executor = Own()
"""
LOKY = """
import loky

executor = loky.get_reusable_executor(1)
"""
DASK = """
import distributed

cluster = distributed.LocalCluster(n_workers=1, dashboard_address=":0")
client = distributed.Client(cluster)
executor = client.get_executor()
"""

# The cells of a notebook: its main module is in no file, so no process can import it.
CELLS = """
import sys, threading, longop

class Point:
    def __init__(self, x):
        self.x = x

class Odd(Exception):
    def __init__(self, x, y):
        super().__init__(f"{x} is odd")

def helper(n):
    return n * 2

@longop.long_operation
def work(n: int, callback):
    for number in range(n):
        callback(result=Point(number), step=number + 1, total=n)
    if n % 2:
        raise Odd(n, "y")
    return Point(helper(n))

@longop.long_operation
def waits(callback):
    callback("waits")
    callback.wait(60)

operation = work.replace(executor=executor)
job = operation.start(n=4)
print(type(job.result(60)) is Point, job.result().x, job.status().step)
error = operation.start(n=1).exception(60)
print(isinstance(error, Odd), error)
job = waits.replace(executor=executor).start()
for status in job.updates():
    if status.result:
        job.cancel()
print(status.state.value, status.result)
try:
    status = operation.start(n=threading.Lock()).updates()
    print(list(status)[-1].error)
except longop.TargetError as error:
    print("TargetError", error)
"""


def run(executor, tmp_path):
    """Run the cells with an executor; return the lines they print."""
    done = subprocess.run(
        [sys.executable, "-c", executor + CELLS], cwd=str(tmp_path), timeout=120,
        env=dict(os.environ, PYTHONPATH=str(ROOT)), capture_output=True, text=True)
    assert done.stdout.count("\n") >= 4, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("executor", "is_known"), [
    pytest.param(OWN, False, marks=needs("cloudpickle"), id="own"),
    pytest.param(LOKY, True, marks=needs("loky"), id="loky"),
    pytest.param(DASK, True, marks=needs("distributed"), id="Dask")])
def test_notebook(executor, is_known, tmp_path):
    """It runs wherever the plain function would, and what cannot be sent is never a hang."""
    *lines, refused = run(executor, tmp_path)[:4]
    assert lines == ["True 8 4", "True 1 is odd", "cancelled waits"]
    assert "pickle '_thread.lock' object" in refused
    assert refused.startswith("TargetError ") == is_known
