"""`longop.cli.follow`: the newest status of a job; `test_terminal` tests the rest."""

import threading
import types

import pytest

from longop import State, Status
from longop.cli.follow import FollowedFromAfar, FollowedJobs


def steady(**facts):
    """A job that has reported once and is silent since: what is drawn of it is asked for."""
    status = Status("id", "m", "f", State.RUNNING, started_at="then", version=1, **facts)
    job = types.SimpleNamespace(id="id", status=lambda: status, updates=lambda: iter([status]))
    return FollowedFromAfar(job, threading.Event())


def test_times_of_a_silent_job():
    """Between two reports the time goes by, and so does the time left; it stops at nothing."""
    one = steady(step=1, total=2, elapsed=3.0)
    for later, expected in ((0, (3.0, 3.0)), (1, (4.0, 2.0)), (2, (5.0, 1.0)), (9, (12.0, 0.0))):
        moment = one.moment(one.changed_at + later, "")
        assert (moment.elapsed, moment.left) == expected


def test_no_time_left_while_cancelling():
    """Of a job that was told to stop no time left is shown."""
    one = steady(step=1, total=2, elapsed=3.0)
    assert one.moment(one.changed_at, "").left == 3.0
    one.latest = one.latest.replace(state=State.CANCELLING)
    assert one.moment(one.changed_at, "").left is None


def test_an_error_of_what_is_followed_is_raised():
    """What a follower's thread meets is raised where the jobs are looked at."""
    def updates():
        raise OSError("no answer")
        yield

    status = Status("id", "m", "f", State.RUNNING)
    job = types.SimpleNamespace(id="id", status=lambda: status, updates=updates)
    jobs = FollowedJobs([job])
    assert jobs.changed.wait(10)
    with pytest.raises(OSError, match="no answer"):
        jobs.look()
