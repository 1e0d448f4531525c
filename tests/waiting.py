"""Waiting, in tests, for what other threads and processes do."""

import time
from concurrent.futures import wait

WAIT = 10  # seconds until a test that hangs fails


def wait_until(condition, seconds=WAIT):
    """Return what a condition returns once that is true; an assertion fails if it never is."""
    until = time.monotonic() + seconds
    while True:
        seen = condition()
        if seen:
            return seen
        assert time.monotonic() < until, f"not within {seconds} seconds: {condition}"
        time.sleep(0.001)


def end_of(job):
    """Wait for the end of a job and return its last status."""
    assert wait([job], WAIT).done, job
    return job.status()
