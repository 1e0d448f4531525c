"""`longop.cli.line`: what of a status has room in a line."""

import pytest

from longop import State, Status
from longop.cli import line
from longop.cli.columns import width
from longop.values.growth import Growth

LOOK = line.Look("#", ".", "|/-\\", "utf-8")


def moment(state=State.RUNNING, step=12, total=30, progress=0.4, **facts):
    status = Status("id", "m", "f", state, None, step, total, progress, started_at="then",
                    **{"elapsed": 48.0, **facts})
    return line.Moment(status, 48.0, 72.0 if state is State.RUNNING else None)


@pytest.mark.parametrize(("columns", "text"), [
    (17, "running 12/30"), (37, "running  40% ##... 12/30 a message of"),
    (77, "running  40% #########............. 12/30 4 s each 0:48 -1:12 a message of it")])
def test_room(columns, text):
    """At 20 columns the count is whole, at 40 there is a bar, at 80 all of it."""
    shown = line.live(moment(message="a message of it"), LOOK, columns)
    assert shown == text
    assert width(shown) <= columns


def test_words_before_the_rate():
    """A long message takes the room of the rate, and keeps off no bar and no time."""
    shown = line.live(moment(message="word " * 30), LOOK, 77)
    assert "each" not in shown
    assert "##... 12/30 0:48 -1:12 word" in shown


def test_the_rate_is_that_of_the_last_report():
    """While a job is silent its rate does not fall: that would be the clock, not the job."""
    silent = moment()._replace(elapsed=480.0)
    assert "4 s each 8:00" in line.live(silent, LOOK, 77)
    assert "each" not in line.live(moment(elapsed=0.9)._replace(elapsed=48.0), LOOK, 77)


@pytest.mark.parametrize(("state", "text"), [
    (State.RUNNING, " 40% 1.98G/4.94G"), (State.COMPLETED, "completed  40%"),
    (State.FAILED, "failed  40% 0:48"), (State.CANCELLED, "cancelled  40%")])
def test_how_it_ended_comes_first(state, text):
    """Where there is room for one only, a job that runs shows its count, its end how it ended."""
    large = moment(state, step=1_980_000_000, total=4_940_000_000)
    assert line.live(large, LOOK, 16) == text


def test_several_in_one_line():
    """Where there is one line for several jobs, each tells how far it is; the rest is counted."""
    moments = [moment()._replace(label="f #1"),
               moment(progress=None, total=None)._replace(label="f #2"),
               moment(State.QUEUED, step=None, progress=None)._replace(label="f #3"),
               moment(State.CANCELLING)._replace(label="汉 #4")]
    assert line.together(moments, LOOK, 77) == "f #1 40%, f #2 12, f #3 queued, 汉 #4 cancelling"
    assert line.together(moments, LOOK, 40) == "f #1 40%, f #2 12, ... and 2 more"
    assert line.together(moments, LOOK, 14) == "... and 4 more"
    assert line.together(moments, LOOK, 5) == "... a"
    assert line.together(moments * 25_000, LOOK, 30) == "f #1 40%, ... and 99,999 more"


@pytest.mark.parametrize("columns", range(1, 130))
def test_never_too_wide(columns):
    """In whatever width, whatever is said, the line fits."""
    for words in ("x" * 300, "汉字" * 200):
        assert width(line.live(moment(message=words), LOOK, columns)) <= columns


def test_error():
    """An error that fits is in the line; another one is below, wrapped and whole."""
    short = moment(State.FAILED, error="ValueError: no good")
    shown = line.live(short, LOOK, 77)
    assert shown.endswith("ValueError: no good")
    assert line.below(short, LOOK, 77) == []
    long = moment(State.FAILED, error="ValueError: " + "word " * 30 + "\ncause: KeyError: 'x'")
    below = line.below(long, LOOK, 37)
    assert "ValueError" not in line.live(long, LOOK, 37)
    assert " ".join(below).split() == long.status.error.split()
    assert max(map(width, below)) <= 37
    assert below[-1] == "cause: KeyError: 'x'"


def test_spinner():
    """Without a total there is a spinner and the count, while the job runs."""
    running = moment(total=None, progress=None)._replace(turn=5)
    assert line.live(running, LOOK, 77) == "running / 12 4 s each 0:48 -1:12"
    ended = moment(State.COMPLETED, total=None, progress=None)
    assert line.live(ended, LOOK, 77) == "completed 12 4 s each 0:48"


def test_plain():
    """A pipe gets all that is known, on one line."""
    assert line.plain(moment(message="a\nb"), LOOK) == (
        "running  40% 12/30 4 s each 0:48 -1:12 a b")
    assert line.plain(moment(State.FAILED, error="x" * 2000), LOOK).endswith("x" * 2000)


def test_end_of_a_result():
    """Of a result that grows the end is shown."""
    growth = Growth("begin")
    growth.add("x" * 2000 + "end")
    status = Status("id", "m", "f", State.RUNNING, growth)
    assert line.live(line.Moment(status), LOOK, 30).endswith("xxxend")


def test_control_characters():
    """Nothing that a function says controls the terminal."""
    assert line.live(moment(message="a\x1b[2J"), LOOK, 77).endswith(" a[2J")


def test_look():
    """Signs are those that the encoding has."""
    assert line.Look.of(None).full == "#"
