"""What type checkers must say of longop; `test_types` has them read it. It is never run.

A line with an error that must be found ends with ``type: ignore``: a needless one is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any, AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Optional
from urllib.request import urlretrieve
from wsgiref.simple_server import make_server

from typing_extensions import assert_type

import longop
import longop.client
from longop import Job, LongOperation, Status, long_operation

Report = Callable[..., None]


# A decorated function, with and without options, and a wrapped one


@longop.long_operation
def plain(callback: Report, n: int) -> str:
    return str(n)


@longop.long_operation(limit=2, when_busy="reject", history="jobs.sqlite3")
def configured(callback: Report, n: int = 1) -> str:
    return str(n)


def wrapped(n: int, *, callback: longop.Callback) -> list[int]:
    return [n]


async def awaiting(*, callback: longop.Callback) -> None:
    await callback("a", step=1)
    callback(percent=1)  # type: ignore
    callback("a", 1, 2, "m", 5)  # type: ignore
    callback.cancle()  # type: ignore


for report in (longop.done_total, longop.fraction_message, longop.block_size_total):
    LongOperation(awaiting, report=report)
LongOperation(awaiting, report=longop.progress_dict)
LongOperation(awaiting, report=longop.BlockSum)
LongOperation(awaiting, report=lambda n: {"step": n, "returns": True})
LongOperation(awaiting, report=lambda n: n + 1 if n else "text")  # type: ignore
LongOperation(awaiting, report=5)  # type: ignore
operation = LongOperation(wrapped, executor="process", grace=1)

assert_type(plain(print, 1), str)
assert_type(plain.start(n=1), Job[str])
assert_type(plain.start(n=1).result(), str)
assert_type(plain.start_once("key", n=1).result(timeout=3), str)
assert_type(configured(print), str)
assert_type(configured.start().result(), str)
assert_type(configured.replace(limit=3).start().result(), str)
assert_type(operation(1, callback=longop.Callback()), list[int])
assert_type(operation.start(n=1).result(), list[int])
plain(print, "1")  # type: ignore
plain(print)  # type: ignore
configured(print, m=1)  # type: ignore
operation(1)  # type: ignore
print(plain.start(n=1).result().nope)  # type: ignore
long_operation(limit="2")  # type: ignore
long_operation(colour="red")  # type: ignore
LongOperation(wrapped, when_busy="explode")  # type: ignore
LongOperation("os.getcwd")  # type: ignore


# The status, and its updates


def watch(job: Job[str]) -> None:
    for status in job.updates():
        assert_type(status, Status)
    assert_type(job.status().state, longop.State)
    assert_type(job.cancel(), bool)


async def watch_too(job: Job[str]) -> None:
    async for status in job.updates():
        assert_type(status, Status)


watch(plain.start(n=1))
watch(operation.start(n=1))  # type: ignore


# Every shape of a function


@long_operation
def nothing(callback: Report) -> None:
    callback("its last report is its value")


@long_operation
def perhaps(callback: Report) -> int | None:
    return None


@long_operation
async def coroutine(callback: Report) -> int:
    return 1


@long_operation(timeout=1.5)
async def coroutine_of_nothing(callback: Report) -> None:
    callback(1)


@long_operation
def generator(n: int) -> Generator[int, None, str]:
    yield n
    return "value"


@long_operation
def generator_of_nothing(n: int) -> Generator[int, None, None]:
    yield n


@long_operation
def iterator(n: int) -> Iterator[int]:
    yield n


@long_operation
async def async_generator(n: int) -> AsyncGenerator[int, None]:
    yield n


@long_operation
async def async_iterator(n: int) -> AsyncIterator[int]:
    yield n


class Machine:
    def __call__(self, n: int, callback: Report) -> bytes:
        return bytes(n)

    def method(self, callback: Report) -> float:
        return 0.5


async def is_awaited() -> None:
    assert_type(await coroutine(print), int)
    async for item in async_generator(1):
        assert_type(item, int)


assert_type(nothing.start(), Job[Any])
assert_type(perhaps.start(), Job[Optional[int]])
assert_type(coroutine.start(), Job[int])
assert_type(coroutine_of_nothing.start(), Job[Any])
assert_type(generator.start(n=1), Job[str])
assert_type(generator_of_nothing.start(n=1), Job[int])
assert_type(iterator.start(n=1), Job[int])
assert_type(async_generator.start(n=1), Job[int])
assert_type(async_iterator.start_once("key", n=1), Job[int])
assert_type(LongOperation(Machine()).start(n=1), Job[bytes])
assert_type(LongOperation(Machine().method, limit=3).start(), Job[float])
assert_type(LongOperation(partial(wrapped, n=1)).start(), Job[list[int]])
assert_type(LongOperation(urlretrieve).start(url="x").result()[0], str)


# Methods


class Thing:
    @long_operation
    def method(self, n: int, callback: Report) -> str:
        return str(n)

    @long_operation(limit=2)
    async def coroutine(self, *, callback: Report) -> int:
        return 1

    @staticmethod
    @long_operation
    def static(n: int, callback: Report) -> bytes:
        return bytes(n)

    @long_operation
    @staticmethod
    def static_inside(n: int, callback: Report) -> bytes:
        return bytes(n)

    @long_operation
    @classmethod
    def of_class(cls, n: int, callback: Report) -> float:
        return 0.5


thing = Thing()
assert_type(thing.method.start(n=1), Job[str])
assert_type(thing.method(1, print), str)
assert_type(Thing.method(thing, 1, print), str)
thing.method("1", print)  # type: ignore
thing.method(1)  # type: ignore
assert_type(thing.coroutine.start(), Job[int])
assert_type(thing.coroutine.start_once("key"), Job[int])
assert_type(Thing.static(1, print), bytes)
assert_type(Thing.static.start(n=1), Job[bytes])
assert_type(Thing.static_inside.start(n=1), Job[bytes])
assert_type(Thing.of_class.start(n=1), Job[float])


@dataclass
class Record:
    operation: LongOperation


assert_type(Record(plain).operation, LongOperation[..., Any])
assert_type(Record(thing.method).operation.start(n=1), Job[Any])


# One type for all of them


def names(*operations: LongOperation) -> tuple[str, ...]:
    return tuple(one.name for one in operations)


names(plain, operation, coroutine, generator, LongOperation(Machine()))


# What wings define


longop.handler(plain, operation, page="/jobs", gate=longop.Gate())
longop.handler("plain")  # type: ignore
ThreadingHTTPServer(("", 0), longop.handler(plain))


class Handler(longop.Handler):
    operations = (plain, coroutine)
    page = "/jobs"
    gate = longop.Gate()
    limits = longop.Limits()

    def do_GET(self) -> None:
        self.send_error(404)


ThreadingHTTPServer(("", 0), Handler)
make_server("", 0, longop.wsgi(plain, limits=longop.Limits()))
assert_type(longop.progress(plain.start(n=1)), Status)
assert_type(longop.connect("http://localhost"), longop.client.RemoteServer)
longop.connect(1)  # type: ignore
long_operation(history=longop.FileHistory("jobs.sqlite3"))
print(longop.nope)  # type: ignore
