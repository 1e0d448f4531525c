"""An event loop in one thread: sockets, deadlines, and calls that come from other threads.

    function's thread ─┐
    pool's thread ─────┼─ call() ─▶ a queue, and a byte that wakes the loop's thread
    main thread ───────┘

Only `call` may be used in other threads. Nothing here takes a lock, and nothing blocks except
the wait for events. Knows nothing of HTTP or jobs.
"""

from __future__ import annotations

import abc
import contextlib
import heapq
import itertools
import selectors
import socket
import time
from collections import deque
from typing import Callable

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
NEVER = float("inf")
LONGEST_WAIT = 3600.0  # seconds; epoll refuses a timeout that does not fit into a C int


class Task(abc.ABC):
    """Something that goes on step by step in the loop's thread, such as a connection."""

    #: When to resume it at the latest, on the clock of `Loop.now`. It may only be changed in
    #: `resume`, which also lowers `Loop.next_deadline`.
    deadline = NEVER

    @abc.abstractmethod
    def resume(self, events: int = 0) -> None:
        """Take the next step. `events` says what its socket is ready for: READ, WRITE or both.

        Harmless if nothing is pending, so it may be called once too often.
        """


class Loop:
    """Waits for sockets, deadlines and calls, and handles them one after the other."""

    def __init__(self) -> None:
        #: When this turn began, in monotonic seconds: one reading of the clock for all tasks.
        self.now = time.monotonic()
        #: The tasks whose deadlines count. A task adds itself and removes itself.
        self.tasks: set[Task] = set()
        #: Not later than the first deadline of all tasks. It may be earlier: a task that gets
        #: a later deadline does not raise it. Then the loop looks at the tasks once in vain.
        self.next_deadline = NEVER
        self._last: deque[Task] = deque()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []  # a heap
        self._count = itertools.count()  # for the heap, because functions cannot be compared
        # Filled in any thread, emptied in the loop's: a deque's append and popleft are atomic.
        self._calls: deque[Callable[[], object]] = deque()
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self.register(self._woken, READ, self._run_calls)

    def register(self, sock: socket.socket, events: int,
                 handler: Callable[[int], object]) -> None:
        """Call a handler with the events that a socket is ready for, until `unregister`."""
        self._selector.register(sock, events, handler)

    def unregister(self, sock: socket.socket) -> None:
        """Stop watching a socket. This must be done before the socket is closed."""
        self._selector.unregister(sock)

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in the loop's thread. For any thread; never blocks.

        The function is queued before the byte is sent, and the loop reads the bytes before the
        queue. So the function is either seen in that turn, or its byte is still to come.
        """
        self._calls.append(function)
        # The socket is full: the loop will wake anyway. Or it is closed: the loop is over.
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def call_at(self, when: float, function: Callable[[], object]) -> None:
        """Call a function once `now` has reached a moment."""
        heapq.heappush(self._timers, (when, next(self._count), function))

    def resume_last(self, task: Task) -> None:
        """Resume a task at the end of this turn, after everything else that is ready."""
        self._last.append(task)

    def turn(self) -> None:
        """Wait until something is to be done, and do it."""
        ready = self._selector.select(self._time_left())
        self.now = time.monotonic()
        for key, events in ready:
            # A handler may unregister a socket that is also in `ready`. Its own handler is
            # still called, which is harmless: see `Task.resume`.
            key.data(events)
        if self._timers:
            self._run_timers()
        if self.next_deadline <= self.now:
            self._resume_overdue()
        while self._last:
            self._last.popleft().resume()

    def close(self) -> None:
        """Close the loop's own sockets. The sockets of the tasks must be closed by then."""
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def _time_left(self) -> float:
        """Return how many seconds the loop may wait for events."""
        until = self.next_deadline
        if self._timers:
            until = min(until, self._timers[0][0])
        return max(0.0, min(until - time.monotonic(), LONGEST_WAIT))

    def _run_calls(self, events: int) -> None:
        self._woken.recv(65_536)  # before the queue is read: see `call`
        while self._calls:
            self._calls.popleft()()

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            _, _, function = heapq.heappop(self._timers)
            function()

    def _resume_overdue(self) -> None:
        # A step may end tasks, and a call may begin some: this needs a copy.
        for task in [*self.tasks]:
            if task.deadline <= self.now:
                task.resume()
        self.next_deadline = min((task.deadline for task in self.tasks), default=NEVER)
