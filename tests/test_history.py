"""`longop.history`: finished jobs, remembered within bounds."""

import array
import collections
import contextlib
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from longop import ForgottenJob, History, LongOperation, State, Status, UnknownJob
from longop.history import NO_SERIES, After, Extras, Wanted, to_shown
from longop.values.series import Point, Series

from .memory import peak_below

WAIT = 10


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


def test_newest_first():
    """Iteration goes from the newest to the oldest of the jobs that were there as it began."""
    status = job("b", {"big": [1, 2]})
    history = filled(job("a"), status, job("c"))
    assert history.get("b") is status
    jobs = iter(history)
    history.add(job("d"))
    history.forget("a")
    assert [status.id for status in jobs] == list("cba")
    assert ids(history) == list("dcb")


@pytest.mark.parametrize(("bound", "expected"), [
    (1, "e"), (2, "de"), (4, "bcde"), (5, "abcde"), (6, "abcde"), (0, "e"), (-1, "e")])
def test_bound_by_count(bound, expected):
    """The newest jobs are kept, as many as were asked for, and one in any case."""
    assert kept(filled(*map(job, "abcde"), max_jobs=bound), *"abcde") == expected


def test_default_bounds():
    """By default 100 jobs are kept, or 16 MiB of them."""
    assert ids(filled(*map(job, range(101)))) == [str(number) for number in range(100, 0, -1)]
    for megabytes, expected in ((3, "dcba"), (4, "dcb"), (9, "d")):
        assert ids(filled(*(job(name, bytes(megabytes << 20)) for name in "abcd"))) == [*expected]


class Holder:
    """An object of the function's own."""

    def __init__(self, content):
        self.content = content

    def __str__(self):
        return "a holder"


@pytest.mark.parametrize("result", [
    b"x" * 100_000, "x" * 100_000, ["x" * 50_000, "y" * 50_000], {"a": {"b": "x" * 100_000}},
    {"x" * 100_000: 1}, (bytearray(100_000),), {("x" * 100_000,)}, [[[[b"x" * 100_000]]]],
    list(range(10_000)), Holder(bytes(100_000)), [Holder([Holder(bytes(100_000))])]],
    ids=["bytes", "text", "list", "dict", "key", "tuple", "set", "nested", "many", "attribute",
         "attributes"])
def test_bound_by_bytes(result):
    """Results count with all that is in them; the oldest go first."""
    assert len(ids(filled(*(job(name, result) for name in "abc"), max_bytes=250_000))) <= 2
    history = filled(*(job(name) for name in "abc"), job("d", result), max_bytes=50_000)
    assert kept(history, *"abcd") == "d"


def test_newest_is_kept_however_large():
    """The newest job is kept even where it alone is over the bound, until the next one."""
    history = filled(job("a"), job("b", bytes(100_000)), max_bytes=10_000)
    assert kept(history, "a", "b") == "b"
    history.add(job("c"))
    assert kept(history, "a", "b", "c") == "c"
    assert ids(filled(job("a"), max_bytes=0)) == ["a"]


@pytest.mark.parametrize("result", [bytes(60_000), [bytes(50_000) for _ in range(50)]])
def test_bytes_are_given_back(result):
    """A job that was forgotten takes no room any more, by hand or by the bound."""
    history = filled(*(job(number, result) for number in range(50)), max_bytes=100_000)
    history.forget("49")
    history.add(job("small", bytes(10_000)))
    for number in range(50, 100):
        history.add(job(number, bytes(60_000)))
        history.forget(str(number))
    for name in "abc":
        history.add(job(name, bytes(20_000)))
    assert ids(history) == ["c", "b", "a", "small"]


def test_forget():
    """A job that is forgotten, by hand or by the bound, is gone, and no unknown one."""
    history = filled(*map(job, "xabc"), max_jobs=3)
    assert history.forget("b") is None
    for name in "bx":
        for look in (history.get, history.forget):
            with pytest.raises(ForgottenJob, match=f"{name} has ended and is no") as gone:
                look(name)
            with pytest.raises(UnknownJob) as unknown:
                look("z")
            assert (gone.value.status, unknown.value.status) == (410, 404)
    assert kept(history, *"abc") == "ac"


def test_forgotten_ids_are_bounded():
    """Of the jobs that are gone only the latest ids are known, so that memory has an end."""
    history = filled(*map(job, range(20_000)), max_jobs=1)
    for known in ("19998", "10000"):
        with pytest.raises(ForgottenJob):
            history.get(known)
    with pytest.raises(UnknownJob):
        history.get("0")


def test_result_that_contains_itself():
    """A result that is a ring is counted once."""
    ring = ["x" * 100_000]
    ring.append(ring)
    holder = Holder(bytes(100_000))
    holder.itself = [holder, vars(holder)]
    history = filled(job("a", ring), job("b", holder), max_bytes=250_000)
    assert kept(history, "a", "b") == "ab"


def test_deep_result():
    """A result of a hundred thousand levels is counted."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert kept(filled(job("a"), job("b", deep), max_bytes=100_000), "a", "b") == "b"


@dataclasses.dataclass
class Slotted:
    __slots__ = ("data",)
    data: object


def test_slots_are_counted():
    """What a dataclass with slots, or a deque, holds counts: as a result, and as a parameter."""
    for make in Slotted, lambda data: collections.deque([data]):
        history = filled(job("a"), job("b", make(bytes(100_000))), max_bytes=100_000)
        assert kept(history, "a", "b") == "b"
        assert to_shown({"value": make("x" * 100_000)}) is None
        assert to_shown({"value": make("x")}) is not None


class Unsized:
    def __sizeof__(self):
        raise RuntimeError("no size")


def test_object_that_does_not_tell_its_size():
    """A result that cannot be measured is kept all the same."""
    assert ids(filled(job("a", Unsized()))) == ["a"]


def test_find():
    """A job is found by the beginning of its id, kept or forgotten."""
    ids = [32 * digit for digit in "0af"]
    history = filled(*map(job, ids), max_jobs=2)
    assert [history.find(id[:16]) for id in ids] == ids
    assert history.find(ids[1]) == ids[1]
    assert history.find(16 * "b") is None


@pytest.fixture
def shared():
    """A history for fifty jobs; `test_archive` runs the tests that use it with a file."""
    return History(max_jobs=50)


def test_used_from_several_threads(shared):
    """Whatever several threads do to a history, a job is kept or forgotten, and never unknown."""
    barrier = threading.Barrier(8)

    def use(thread):
        barrier.wait(WAIT)
        for number in range(30):
            id = f"{thread:x}{number:02}"
            shared.add(job(id, id))
            assert shared.find(id) == id
            with contextlib.suppress(ForgottenJob):
                assert shared.get(id).result == id
            if number % 7 == 0:
                with contextlib.suppress(ForgottenJob):
                    shared.forget(id)
            listed = ids(shared)
            assert len({*listed}) == len(listed) <= 50
        return [f"{thread:x}{number:02}" for number in range(30)]

    with ThreadPoolExecutor(8) as pool:
        names = [name for done in [pool.submit(use, thread) for thread in range(8)]
                 for name in done.result(WAIT)]
    left = ids(shared)
    assert 35 <= len(left) <= 50
    assert all(shared.get(name).result == name for name in left)
    for name in {*names} - {*left}:
        with pytest.raises(ForgottenJob):
            shared.get(name)


def test_shared_by_operations(shared):
    """Operations that share a history, from several threads, each list their own jobs."""
    operations = [LongOperation(lambda callback, n: n, history=shared, name=f"number{n}", limit=3)
                  for n in range(4)]
    with ThreadPoolExecutor(8) as pool:
        jobs = [*pool.map(lambda n: operations[n % 4].start(n=n), range(40))]
    assert [job.result(WAIT) for job in jobs] == [*range(40)]
    for number, operation in enumerate(operations):
        assert {status.id for status in operation.jobs()} == {job.id for job in jobs[number::4]}
        assert [operation.status(job.id).result for job in jobs] == [*range(40)]


def test_job_that_ends_while_it_is_listed():
    """A job that ends while the jobs are listed is in the list, once."""

    class Slow(History):
        def __iter__(self):
            found = [*super().__iter__()]
            gate.set()
            wait([running], 0.5)
            return iter(found)

    gate = threading.Event()
    operation = LongOperation(lambda callback: gate.wait(WAIT), history=Slow())
    running = operation.start()
    assert [status.id for status in operation.jobs()] == [running.id]


def test_salt_of_a_history():
    """Each history in memory has random bytes of its own."""
    salts = {History().salt for _ in range(3)}
    assert [len(salt) for salt in salts] == [16, 16, 16]


LARGE = 30 * 1024 * 1024


@pytest.mark.parametrize(("value", "shown"), [
    (bytes(LARGE), {"n": 1}), (bytearray(LARGE), {"n": 1}), ("x" * LARGE, None),
    (list(range(LARGE // 30)), None), ({"a": [bytes(LARGE)]}, None),
    (array.array("d", bytes(LARGE)), None), (Holder("x" * LARGE), {"n": 1, "value": "a holder"})],
    ids=["upload", "bytearray", "text", "list", "nested", "array", "object"])
def test_large_parameters_are_not_encoded(shared, value, shown):
    """A start does not encode a large parameter to find that it is too long to show."""
    operation = LongOperation(lambda callback, value, n: n, history=shared)
    with peak_below(1_000_000):
        job = operation.start(value=value, n=1)
        assert job.result(WAIT) == 1
    assert operation.parameters(job.id) == shown


def test_an_interrupted_job_has_an_end():
    """A job whose server ended has the time at which that was noticed as its end."""
    history = History()
    history.interrupt(Status("a1", "module", "name", State.RUNNING, started_at="2026-01-01"))
    status = history.get("a1")
    assert (status.state, status.started_at) == (State.INTERRUPTED, "2026-01-01")
    assert status.finished_at > "2026-01-02"


def test_sizes_that_python_does_not_tell(monkeypatch):
    """Where ``sys.getsizeof`` raises, as on PyPy, sizes are estimated: the bound is kept."""
    def fail(*args):
        raise TypeError("sys.getsizeof is not implemented on PyPy")

    monkeypatch.setattr("longop.history.sys.getsizeof", fail)
    for result in ("x" * 100_000, b"x" * 100_000, ["x" * 50_000, "y" * 50_000],
                   list(range(10_000)), {"a": bytearray(100_000)}):
        history = filled(job("a"), job("b", result), max_bytes=60_000)
        assert kept(history, "a", "b") == "b"


def test_page():
    """A page has the jobs of some operations and one state, newest first by when they were made."""
    history = History()
    for n in range(10):
        history.add(job(n).replace(created_at=f"2026-01-0{(n * 7) % 10}",
                                   state=State.FAILED if n % 2 else State.COMPLETED))
    name = (job("a").module, job("a").operation)
    whole = [listed.status for listed in history.page(Wanted({name}, 100))]
    assert [status.created_at[-1] for status in whole] == [*"9876543210"]
    assert [listed.status for listed in history.page(Wanted({name}, 3))] == whole[:3]
    after = After(whole[3].created_at, whole[3].id)
    assert [listed.status for listed in history.page(Wanted({name}, 2, after=after))] == whole[4:6]
    failed = [status for status in whole if status.state is State.FAILED]
    found = history.page(Wanted({name}, 100, State.FAILED))
    assert [listed.status for listed in found] == failed
    assert history.page(Wanted({("other", "o")}, 100)) == []


def test_page_after_one_of_the_same_moment():
    """Of the jobs of one moment a page has those that come after a job, and no other."""
    history = filled(*(job(name).replace(created_at="2026") for name in "abcd"))
    name = (job("a").module, job("a").operation)

    def page(*after):
        return "".join(listed.status.id for listed in history.page(
            Wanted({name}, 100, after=After(*after))))

    assert page("2026", "c") == "ba"
    assert page("2026") == ""
    assert page("2026", "", True) == "dcba"
    assert page("2027") == "dcba"


def test_memory_of_many_jobs_with_a_series():
    """Two hundred finished jobs, each with a series, take no more memory than the bound says."""
    series = Series()
    due = 1
    for count in range(1, 500):
        if count >= due:
            due = series.take(count, count, 0.5 * count)
    newest = Point.of(499, 499, 249.5)
    history = History(max_jobs=10_000, max_bytes=1_000_000)
    # Beside the bound there are the ids of forgotten jobs, and what the bound does not see.
    with peak_below(2 * 1_000_000):
        for number in range(200):
            history.add(job(number), Extras("", series.to_json(newest)))
    newest_id, *_ = ids(history)
    assert len(history.extras(newest_id).series["step"]) == 499


@pytest.mark.parametrize(("result", "names"), [("text", []), (1.5, ["result"])])
def test_a_job_without_numbers_is_kept_without_a_series(result, names):
    """The end of a job makes a series only if a number was reported."""
    history = History()
    operation = LongOperation(lambda callback: callback(result), history=history)
    job = operation.start()
    job.result(WAIT)
    assert job.series()["reports"] == 1
    kept = history.extras(job.id).series
    assert (kept is NO_SERIES) == (not names)
    assert list(kept["series"]) == names
