"""Methods: an operation in a class is bound to its objects as a function would be."""

import json
import pickle
import sys
import threading
import wsgiref.util

import pytest

import longop
from longop import Busy, History, LongOperation, State
from longop.functions.methods import Binding, binding_of, find, plain_of

from ..waiting import WAIT

LATEST = History()


class Counter:
    """Counts from a number of its own; each kind of method is an operation."""

    base = 100

    def __init__(self, first):
        self.first = first

    @longop.long_operation(limit=1, max_queued=1, history=LATEST)
    def count(self, n: int, callback):
        """Count.

        :param n: how far.
        """
        for number in range(n):
            callback(self.first + number, number + 1, n)
        return self.first + n

    @longop.long_operation
    def twice(this, callback):  # noqa: N805  # found by the place of its definition
        return 2 * this.first

    @longop.long_operation
    def nothing_but_self(self):
        return self.first

    @longop.long_operation
    def items(self, n: int = 2):
        for number in range(n):
            yield self.first + number

    @longop.long_operation
    async def later(self, *, callback):
        callback(self.first)

    @staticmethod
    @longop.long_operation
    def static(n: int, callback):
        return n

    @longop.long_operation
    @staticmethod
    def static_inside(n: int, callback):
        return n

    @longop.long_operation
    @classmethod
    def of_the_class(cls, n: int, callback):
        return cls.base + n


class Special(Counter):
    base = 200


def test_a_start_binds_self():
    """A job of ``thing.method.start()`` has the object; ``thing.method()`` is the plain call."""
    job = Counter(5).count.start(n=3)
    assert job.result(WAIT) == 8
    assert (job.status().operation, job.status().step) == ("count", 3)
    assert Counter(5).count(2, lambda *report: None) == 7
    assert Counter.count(Counter(6), 2, lambda *report: None) == 8


@pytest.mark.parametrize(("name", "parameters", "value"), [
    ("twice", {}, 14), ("nothing_but_self", {}, 7), ("items", {"n": 3}, 9), ("later", {}, 7),
    ("static", {"n": 1}, 1), ("static_inside", {"n": 1}, 1), ("of_the_class", {"n": 1}, 101)])
def test_every_kind_of_method(name, parameters, value):
    """Whatever a method is, a start on the object runs it, and once with a key."""
    operation = getattr(Counter(7), name)
    assert operation.start(**parameters).result(WAIT) == value
    assert operation.start_once("key", **parameters).result(WAIT) == value
    assert operation.submit(parameters).result(WAIT) == value


def test_a_class_method_is_bound_to_the_class_it_is_looked_up_on():
    """The class is that of the look-up, also a subclass."""
    starts = [Counter.of_the_class, Special.of_the_class, Special(1).of_the_class]
    assert [one.start(n=1).result(WAIT) for one in starts] == [101, 201, 201]
    assert Special.of_the_class(2, print) == 202


def test_longop_inside_of_classmethod():
    """``@classmethod`` above works where it asks what it holds (Python 3.9 to 3.12)."""
    class Thing:
        @classmethod
        @longop.long_operation
        def method(cls, callback):
            return cls.__name__

    assert Thing.method(print) == "Thing"
    if (3, 9) <= sys.version_info < (3, 13):
        assert Thing.method.start().result(WAIT) == "Thing"
    else:
        with pytest.raises(longop.BadParameters, match="'cls' is missing"):
            Thing.method.start()


def test_the_parameters_leave_out_self():
    """The schema of a bound operation has neither self nor the callback; the class's has self."""
    bound = Counter(1).count
    schema = bound.signature.schema()
    assert list(schema["properties"]) == ["n"]
    assert schema["properties"]["n"]["description"] == "how far."
    assert list(Counter(1).twice.signature.by_name) == []
    assert bound.signature.callback == "callback"
    assert bound.description == "Count."
    with pytest.raises(longop.BadParameters, match="'self' is unknown"):
        bound.start(self=5, n=1)
    assert list(Counter.count.signature.by_name) == ["self", "n"]
    assert Counter.count.start(self=Counter(2), n=1).result(WAIT) == 3


def test_limit_queue_and_jobs_are_the_operations():
    """All objects share one operation: its limit, its queue, its history and its jobs."""
    go = threading.Event()

    class Thing:
        def __init__(self, name):
            self.name = name

        @longop.long_operation(max_queued=1)
        def work(self, callback):
            assert go.wait(WAIT)
            return self.name

    first, second = Thing("first"), Thing("second")
    jobs = [first.work.start(), second.work.start()]
    assert [job.state for job in jobs] == [State.RUNNING, State.QUEUED]
    with pytest.raises(Busy):
        first.work.start()
    assert list(Thing.work.live) == [job.id for job in jobs]
    assert first.work.live is second.work.live
    go.set()
    assert [job.result(WAIT) for job in jobs] == ["first", "second"]
    assert {status.id for status in first.work.jobs()} == {job.id for job in jobs}
    assert second.work.status(jobs[0].id) == jobs[0].status()
    first.work.forget(jobs[1].id)
    with pytest.raises(longop.ForgottenJob):
        Thing.work.status(jobs[1].id)
    assert Thing.work.start_once("key", self=first).result(WAIT) == "first"
    second.work.close()
    with pytest.raises(Busy, match="is closed"):
        first.work.start()


def test_the_class_has_the_operation_itself():
    """``Class.method`` is the operation; two look-ups on one object are equal, as methods are."""
    thing = Counter(1)
    assert Counter.count is vars(Counter)["count"]
    assert isinstance(thing.count, LongOperation)
    assert thing.count == thing.count
    assert hash(thing.count) == hash(thing.count)
    assert thing.count != Counter(1).count
    assert thing.count != Counter.count
    assert thing.count != thing.twice
    assert thing.static is Counter.static
    assert Special.count is Counter.count
    assert repr(thing.count) == "<LongOperation test_methods/count of a Counter>"
    assert repr(Special.of_the_class) == "<LongOperation test_methods/of_the_class of Special>"


def test_super_and_objects_of_subclasses():
    """A subclass's method can call the plain one above it, or start it."""
    class Below(Counter):
        def count(self, n):
            return super().count.start(n=n).result(WAIT), super().count(n, print)

    assert Below(1).count(0) == (1, 1)


def test_what_is_not_a_method_stays_what_it_is():
    """A function from elsewhere, or an object that can be called, is not bound."""
    def elsewhere(n, callback: longop.Callback):
        return n

    class Thing:
        shared = LongOperation(elsewhere)
        length = LongOperation(len, callback=False)

    assert Thing().shared is Thing.shared
    assert Thing().shared.start(n=1).result(WAIT) == 1
    assert Thing().length is Thing.length


def test_replace():
    """A bound operation with other options is one of the object's own."""
    operation = Counter(3).count.replace(limit=2, name="other")
    assert operation.start(n=1).result(WAIT) == 4
    assert (operation.limit, operation.name, Counter.count.limit) == (2, "other", 1)
    assert operation.jobs()[0].operation == "other"
    again = vars(Special.__mro__[1])["of_the_class"].replace(limit=3)
    assert again.__get__(None, Special).start(n=1).result(WAIT) == 201


def test_an_operation_of_a_method_of_an_object():
    """What was wrapped outside of the class is still an operation of its own."""
    class Thing:
        def plain(self, n, callback):
            return n

    assert LongOperation(Thing().plain, callback="callback").start(n=1).result(WAIT) == 1
    unbound = LongOperation(Thing.plain, callback="callback")
    assert unbound.start(self=Thing(), n=2).result(WAIT) == 2


def test_pickled_by_name():
    """Pickled, a method's operation is the class's, and a bound one is bound to a copy."""
    assert pickle.loads(pickle.dumps(Counter.count)) is Counter.count
    bound = pickle.loads(pickle.dumps(Special(4).count))
    assert bound.start(n=1).result(WAIT) == 5
    assert bound.live is Counter.count.live
    of_class = pickle.loads(pickle.dumps(Special.of_the_class))
    assert of_class == Special.of_the_class
    assert pickle.loads(pickle.dumps(vars(Counter)["of_the_class"])).live is of_class.live


def test_where_only_the_code_has_arrived():
    """Where no operation is found by its name, a plain call takes its place, bound as it was."""
    def arrived(name):
        operation = vars(Counter)[name]
        rebuild, (plain, binding) = operation.__reduce__()
        assert rebuild(plain, binding) is operation
        return rebuild(plain_of(operation.function, "no.such.module", name), binding)

    class Copy:
        base = 300
        first = 30
        count = arrived("count")
        of_the_class = arrived("of_the_class")
        static_inside = arrived("static_inside")

    assert Copy().count(1, print) == 31
    assert (Copy.of_the_class(1, print), Copy().of_the_class(1, print)) == (301, 301)
    assert (Copy.static_inside(1, print), Copy().static_inside(1, print)) == (1, 1)
    rebuild, (operation, receiver) = Counter(4).count.__reduce__()
    assert operation is Counter.count
    assert rebuild(vars(Copy)["count"], receiver)(2, print) == 6
    assert rebuild(vars(Copy)["of_the_class"], Special)(2, print) == 202


def test_a_bound_operation_at_a_door():
    """A bound operation is served, with the parameters that its method has."""
    begun = []
    environ = {}
    wsgiref.util.setup_testing_defaults(environ)
    environ.update(REQUEST_METHOD="POST", PATH_INFO="/v1/test_methods/count", QUERY_STRING="n=2",
                   HTTP_PREFER="wait=10")
    body = b"".join(longop.wsgi(Counter(9).count)(environ, lambda *head: begun.append(head)))
    assert begun[0][0] == "200 OK"
    assert json.loads(body)["result"] == 11


def test_binding():
    """What binds an operation: its function's name and its first parameter, or a decorator."""
    def function(n):
        pass

    def by_its_name(self):
        pass

    assert binding_of(function) == (function, Binding.NONE)
    assert binding_of(by_its_name) == (by_its_name, Binding.OBJECT)
    assert binding_of(Counter.__init__) == (Counter.__init__, Binding.OBJECT)
    assert binding_of(staticmethod(by_its_name)) == (by_its_name, Binding.NONE)
    assert binding_of(classmethod(function)) == (function, Binding.CLASS)
    assert binding_of(len) == (len, Binding.NONE)
    method = Counter(1).__init__
    assert binding_of(method) == (method, Binding.NONE)


def test_find():
    """A dotted name is found in a module that was imported; anything else is None."""
    assert find(__name__, "Counter.count") is Counter.count
    assert find(__name__, "Counter.nope") is None
    assert find("no.such.module", "f") is None
