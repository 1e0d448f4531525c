"""Requests that were changed at random. More of them: ``python3 -m tests.bench mutate``."""

from .mutated import Mutator, run


def test_no_request_is_an_error_of_ours():
    """No request is answered with a 5xx, and none makes a function fail that takes anything."""
    statuses = run(2_000, seed=1)
    assert statuses[200] + statuses[202] > 200  # many are as they should be
    assert statuses[400] > 200


def test_a_seed_makes_the_same_requests():
    """A request that failed can be made again from its seed and its number."""
    first, again, other = (Mutator(seed) for seed in (1, 1, 2))
    assert [first.request() for _ in range(50)] == [again.request() for _ in range(50)]
    assert first.request() != other.request()
