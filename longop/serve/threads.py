"""Threads that answer what the loop must not wait for.

Unlike those of a ``ThreadPoolExecutor`` they are daemons: Python waits for none of them when it
ends, so an answer that is stuck does not hold up the end of the server.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Callable, Tuple

_Task = Tuple["Future[Any]", Callable[[], Any]]


class Threads:
    """Up to ``most`` threads, each started when all others are busy."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._count = 0  # threads that were started
        self._idle = threading.Semaphore(0)  # one for each thread that waits for a task
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()  # None ends a thread

    def submit(self, function: Callable[[], Any]) -> Future[Any]:
        """Have a thread call a function; return the Future of its value.

        One thread only may call this, and `close`. Raises ``RuntimeError`` if the system has no
        thread for the first task.
        """
        if not self._idle.acquire(blocking=False) and self._count < self._most:
            self._start_thread()
        future: Future[Any] = Future()
        self._tasks.put((future, function))
        return future

    def close(self) -> None:
        """End the threads, each after its task. Does not wait for them."""
        for _ in range(self._count):
            self._tasks.put(None)

    def _start_thread(self) -> None:
        name = f"{self._name}_{self._count}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            if not self._count:
                raise
            return  # those that are there will come to the task
        self._count += 1

    def _work(self) -> None:
        """Call one function after the other. Each thread runs this."""
        while True:
            task = self._tasks.get()
            if task is None:
                return
            _perform(*task)
            del task  # its answer may be large, and the next task may be long in coming
            self._idle.release()


def _perform(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        value = function()
    except BaseException as error:  # SystemExit too: it must not end the thread
        future.set_exception(error)
    else:
        future.set_result(value)
