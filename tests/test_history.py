"""`longop.history`: finished jobs, remembered within bounds."""

import pytest

from longop import ForgottenJob, History, State, Status, UnknownJob


def broken(reason):
    """Mark what the library does wrong now."""
    return pytest.mark.xfail(strict=True, reason=reason)


def job(id, result=None):
    return Status(id=str(id), module="m", operation="o", state=State.COMPLETED, result=result)


def filled(*jobs, **bounds):
    history = History(**bounds)
    for status in jobs:
        history.add(status)
    return history


def ids(history):
    return [status.id for status in history]


def kept(history, *names):
    """Say which of some ids can be got, and check that the others are said to be forgotten."""
    found = []
    for name in names:
        try:
            assert history.get(name).id == name
            found.append(name)
        except ForgottenJob:
            pass
    assert ids(history) == found[::-1]
    return "".join(found)


def test_empty():
    """An empty history has no jobs and knows none."""
    history = History()
    assert ids(history) == []
    with pytest.raises(UnknownJob, match="there is no job a"):
        history.get("a")


def test_get_returns_what_was_added():
    """A finished job's status comes back as the very one that was added."""
    status = job("a", {"big": [1, 2]})
    assert filled(status, job("b")).get("a") is status


def test_newest_first():
    """Iteration goes from the newest to the oldest."""
    assert ids(filled(*map(job, "abcde"))) == list("edcba")


def test_iterating_while_it_changes():
    """An iteration that has begun is of the jobs that were there then."""
    history = filled(*map(job, "abc"))
    jobs = iter(history)
    history.add(job("d"))
    history.forget("a")
    assert [status.id for status in jobs] == list("cba")


@pytest.mark.parametrize(("bound", "expected"), [
    (1, "e"), (2, "de"), (4, "bcde"), (5, "abcde"), (6, "abcde"), (0, "e"), (-1, "e")])
def test_bound_by_count(bound, expected):
    """The newest jobs are kept, as many as were asked for, and one in any case."""
    assert kept(filled(*map(job, "abcde"), max_jobs=bound), *"abcde") == expected


def test_default_count():
    """By default 100 jobs are kept."""
    history = filled(*map(job, range(101)))
    assert ids(history) == [str(number) for number in range(100, 0, -1)]


@pytest.mark.parametrize("result", [
    b"x" * 100_000, "x" * 100_000, ["x" * 50_000, "y" * 50_000], {"a": {"b": "x" * 100_000}},
    {"x" * 100_000: 1}, (bytearray(100_000),), {("x" * 100_000,)}, [[[[b"x" * 100_000]]]],
    list(range(10_000))],
    ids=["bytes", "text", "list", "dict", "key", "tuple", "set", "nested", "many"])
def test_bound_by_bytes(result):
    """Results count with all that is in them; the oldest go first."""
    history = filled(*(job(name, type(result)(result)) for name in "abc"), max_bytes=250_000)
    sizes = len(ids(history))
    assert sizes <= 2
    history = filled(*(job(name) for name in "abc"), job("d", result), max_bytes=50_000)
    assert kept(history, *"abcd") == "d"


def test_default_bytes():
    """By default 16 MiB are kept."""
    def shown(megabytes):
        return ids(filled(*(job(name, bytes(megabytes << 20)) for name in "abcd")))

    assert shown(3) == list("dcba")
    assert shown(4) == list("dcb")
    assert shown(9) == ["d"]


def test_newest_is_kept_however_large():
    """The newest job is kept even where it alone is over the bound, until the next one."""
    history = filled(job("a"), job("b", bytes(100_000)), max_bytes=10_000)
    assert kept(history, "a", "b") == "b"
    history.add(job("c"))
    assert kept(history, "a", "b", "c") == "c"
    assert ids(filled(job("a"), max_bytes=0)) == ["a"]


def test_small_jobs_stay_beside_each_other():
    """Jobs that fit in the bound are all kept."""
    assert kept(filled(*(job(name, "x" * 1000) for name in "abcde"), max_bytes=100_000),
                *"abcde") == "abcde"


def test_bytes_are_given_back():
    """A job that was forgotten takes no room any more, by hand or by the bound."""
    history = History(max_bytes=100_000)
    history.add(job("small", bytes(10_000)))
    for number in range(50):
        history.add(job(number, bytes(60_000)))
        history.forget(str(number))
    assert ids(history) == ["small"]
    history = filled(*(job(number, bytes(60_000)) for number in range(50)), max_bytes=100_000)
    history.forget("49")
    for name in "abc":
        history.add(job(name, bytes(20_000)))
    assert ids(history) == ["c", "b", "a"]


def test_huge_job_is_given_back_as_it_was_counted():
    """A job far over the bound leaves no trace in the count once it has gone."""
    history = filled(job("huge", [bytes(50_000)] * 3 + [bytes(50_000) for _ in range(50)]),
                     max_bytes=60_000)
    history.forget("huge")
    for name in "ab":
        history.add(job(name, bytes(20_000)))
    assert ids(history) == ["b", "a"]


def test_forgotten_and_unknown_are_told_apart():
    """A job that was there is gone; one that never was is unknown."""
    history = filled(*map(job, "abc"), max_jobs=2)
    with pytest.raises(ForgottenJob, match="job a has ended and is no longer kept") as gone:
        history.get("a")
    with pytest.raises(UnknownJob) as unknown:
        history.get("z")
    assert (gone.value.status, unknown.value.status) == (410, 404)


def test_forget():
    """A job that is forgotten is gone from everywhere, and the others stay."""
    history = filled(*map(job, "abc"))
    assert history.forget("b") is None
    assert kept(history, *"abc") == "ac"


def test_forget_what_is_not_there():
    """Forgetting raises where there is nothing to forget, and changes nothing."""
    history = filled(*map(job, "ab"))
    history.forget("a")
    with pytest.raises(ForgottenJob):
        history.forget("a")
    with pytest.raises(UnknownJob):
        history.forget("z")
    assert ids(history) == ["b"]


def test_forgotten_ids_are_bounded():
    """Of the jobs that are gone only the latest ids are known, so that memory has an end."""
    history = filled(*map(job, range(20_000)), max_jobs=1)
    with pytest.raises(ForgottenJob):
        history.get("19998")
    with pytest.raises(ForgottenJob):
        history.get("10000")
    with pytest.raises(UnknownJob):
        history.get("0")


def test_result_that_contains_itself():
    """A result that is a ring is counted once."""
    ring = ["x" * 1000]
    ring.append(ring)
    assert kept(filled(job("a", ring), job("b", ring), max_bytes=10_000), "a", "b") == "ab"


def test_deep_result():
    """A result of a hundred thousand levels is counted."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert kept(filled(job("a"), job("b", deep), max_bytes=100_000), "a", "b") == "b"


class Holder:
    def __init__(self, content):
        self.content = content


@broken("what an object of the function's own holds is not counted")
def test_attributes_count():
    """A result counts with its attributes, so that objects are bounded as dicts are."""
    history = filled(job("a", Holder(bytes(100_000))), job("b", Holder(bytes(100_000))),
                     max_bytes=150_000)
    assert ids(history) == ["b"]


@broken("a job that is added once more is counted twice")
def test_adding_again_replaces():
    """Adding a job once more replaces it."""
    history = filled(*(job("a", bytes(40_000)) for _ in range(2)), job("b", bytes(40_000)),
                     max_bytes=100_000)
    assert ids(history) == ["b", "a"]


class Unsized:
    def __sizeof__(self):
        raise RuntimeError("no size")


@broken("sys.getsizeof lets out what __sizeof__ raises, and the job has been run for nothing")
def test_object_that_does_not_tell_its_size():
    """A result that cannot be measured is kept all the same."""
    assert ids(filled(job("a", Unsized()))) == ["a"]
