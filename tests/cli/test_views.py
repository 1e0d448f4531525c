"""`longop.cli.views`: when something is drawn again; `test_terminal` tests the rest."""

from longop.cli import views

from .test_follow import steady


def test_a_silent_job_is_drawn_again():
    """The line of a silent job is drawn once a second, one with a spinner more often."""
    for facts, draws in (({"step": 1, "progress": 0.5}, 3), ({"step": 1}, 7)):
        one = steady(elapsed=2.0, **facts)
        moments = [one.changed_at + tenths / 10 for tenths in range(21)]
        assert len({views._mark_of(one, now) for now in moments}) == draws
