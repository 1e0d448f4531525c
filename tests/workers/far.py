"""Functions that the tests run in processes of their own.

Each process imports this again, so slow imports stand where they are needed.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

from longop import OperationCancelled, long_operation

from ..waiting import WAIT, wait_until

_QUERY = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION of Windows

SETTING = "as imported"
LOADED = []  # what a process keeps between its jobs
STOP = threading.Event()
TRACE = []


def is_alive(pid):
    """Return True while a process runs; one that is dead but not waited for does not."""
    if sys.platform == "win32":
        return _is_alive_on_windows(pid)
    if os.path.exists("/proc/self/stat"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
        return False
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return True
    return False


def _is_alive_on_windows(pid):
    # Any signal to it would end it.
    import _winapi

    try:
        process = _winapi.OpenProcess(_QUERY, False, pid)
    except OSError:
        return False
    try:
        return _winapi.GetExitCodeProcess(process) == _winapi.STILL_ACTIVE
    finally:
        _winapi.CloseHandle(process)


def tell(callback, *report):
    """Report, and ignore a cancel that is there already."""
    with contextlib.suppress(OperationCancelled):
        callback(*report)


# One task in every shape that a function can have


def plain(callback, n, word="step"):
    for step in range(1, n + 1):
        callback(f"{word} {step}", step, n, f"at {step}")
    return n * 2


def says_nothing_at_the_end(callback, n):
    plain(callback, n)


def generator(n):
    for step in range(1, n + 1):
        yield f"step {step}"
    return n * 2


async def async_generator(n):
    import asyncio

    for step in range(1, n + 1):
        yield f"step {step}"
        await asyncio.sleep(0)


async def coroutine(callback, n):
    import asyncio

    await asyncio.sleep(0)
    return plain(callback, n)


def adapted(progress, n):
    for left in range(n - 1, -1, -1):
        progress(left, total=n)
    return n * 2


def how_many_are_left(left, total):
    return {"step": total - left, "total": total}


@long_operation(executor="process", name="another name")
def decorated(callback, n):
    return plain(callback, n)


class Painter:
    def __call__(self, callback, n):
        return plain(callback, n)

    def paint(self, callback, n):
        return plain(callback, n)


# Functions that run until they are told to stop, each with a clean-up that leaves a trace


def reports(callback, trace):
    try:
        while True:
            callback("partial")
            time.sleep(0.001)
    finally:
        open(trace, "w").close()


def checks(callback, trace):
    tell(callback, "partial")
    while not callback.cancelled:
        time.sleep(0.001)
    open(trace, "w").close()


def sleeps(callback, trace):
    try:
        callback("partial")
        callback.wait(WAIT)
    finally:
        open(trace, "w").close()


def yields(trace):
    try:
        while True:
            yield "partial"
            time.sleep(0.001)
    finally:
        open(trace, "w").close()


async def awaits(callback, trace):
    import asyncio

    try:
        callback("partial")
        await asyncio.sleep(WAIT)
    finally:
        await asyncio.sleep(0)
        open(trace, "w").close()


# Functions that run as long as the test wants


def gated(callback, folder):
    """Take three steps, each when there is a file of its name."""
    for step in 1, 2, 3:
        callback(f"step {step}", step, 3)
        wait_until(lambda step=step: os.path.exists(os.path.join(folder, str(step))))
    return "value"


def reports_twice(callback, go):
    """Report, report once more when there is a file, and then wait to be stopped."""
    callback("step 1")
    wait_until(lambda: os.path.exists(go))
    callback("step 2")
    callback.wait(WAIT)


def never_reports(callback, pid_file, leave):
    """Write the process id to a file; return once another file is there."""
    with open(pid_file + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.replace(pid_file + ".part", pid_file)
    wait_until(lambda: os.path.exists(leave))
    return "value"


def until_stopped(callback):
    """Report once; return when `stop`, its companion, was called in the same process."""
    STOP.clear()
    tell(callback, os.getpid())
    assert STOP.wait(WAIT)
    return "stopped"


def stop():
    STOP.set()


def stop_in_vain():
    raise ValueError("broken companion")


# Unusual values, errors and ends


def pid():
    return os.getpid()


def nothing():
    pass


def echo(callback, value):
    return value


def setting():
    return SETTING, __name__


def load():
    LOADED.append(os.getpid())
    return list(LOADED)


class Wrong(Exception):
    def __init__(self, text, number):
        super().__init__(text, number)
        self.number = number


class Unpicklable(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


class Unreadable(Exception):
    """Can be pickled, but not read again: its ``__init__`` takes two arguments."""

    def __init__(self, text, number):
        super().__init__(text)


class UnreadableValue:
    """Can be pickled, but not read again."""

    def __reduce__(self):
        return int, ("this is not a number",)


def fail(callback, kind):
    callback("partial", 1, 2)
    if kind == "SystemExit":
        sys.exit(3)
    raise {"Wrong": lambda: Wrong("wrong", 7), "Unpicklable": lambda: Unpicklable("wrong"),
           "Unreadable": lambda: Unreadable("wrong", 7)}[kind]()


def value(callback, kind):
    return {"set": {1}, "complex": 1j, "lock": [threading.Lock(), 1],
            "unreadable": UnreadableValue()}[kind]


def report_and_fail(callback, kind):
    """Report a message that cannot be sent, often, and fail."""
    for _ in range(100):
        callback((1, 2), {1}, 3, value(callback, kind))
    raise Wrong("wrong", 7)


def die(callback, how):
    callback("partial", 1, 2)
    if how == "exit":
        os._exit(7)
    os.kill(os.getpid(), getattr(signal, how))


def die_in_mid_report(callback, go):
    """Send more than the pipe holds while the other side does not read, and be killed."""
    wait_until(lambda: os.path.exists(go))
    callback(os.getpid(), 1)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start()
    callback(20_000_000 * "x", 2)


def fork(callback, copy):
    """Return in both processes, in the copy perhaps much later; each has its own value."""
    pid = os.fork()
    if pid == 0:
        if copy == "lingers":
            time.sleep(6 * WAIT)
        return "of the copy"
    return pid


def fork_and_die(callback):
    pid = os.fork()
    if pid == 0:
        time.sleep(6 * WAIT)
    callback(pid)
    os._exit(7)


def talk(callback, size):
    print("x" * size)


def close_stdout(callback, how):
    if how != "not at all":
        print("something that is in a buffer")
        sys.stdout.close() if how == "object" else os.close(1)
    return os.getpid()


def megabytes(callback, n):
    return bytes(n * 1_000_000)


def tell_the_time(callback):
    """Report the time: by itself, and right after another report."""
    for _ in range(15):
        time.sleep(0.01)
        callback(time.monotonic())
        time.sleep(0.01)
        callback("at once")
        callback(time.monotonic())


def hail(callback, rate, seconds):
    """Report the time, ``rate`` times a second; return how long all took, in seconds."""
    began = time.monotonic()
    for number in range(rate * seconds):
        callback(time.monotonic(), number)
        ahead = began + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    return time.monotonic() - began


def count_to_ten(callback, pause):
    for number in range(10):
        callback(number)
        if pause:
            time.sleep(pause)
    return "ten"


def pool(callback):
    """Start processes, as a function may that does not know longop."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(abs, (-1,))


# Functions that do not stop


GRANDCHILD = 'trap "" TERM; echo; exec sleep 3600'


def stubborn(callback, where):
    """Ignore SIGTERM, as a child of it does; then run C code for days, or sleep."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = subprocess.Popen(["sh", "-c", GRANDCHILD], stdout=subprocess.PIPE)
    grandchild.stdout.readline()  # it ignores it from here on
    tell(callback, [os.getpid(), grandchild.pid])
    if where == "in C":
        sum(range(10 ** 15))
    while True:
        time.sleep(1)


def cannot_hear(trace):
    """Start a child and write both process ids to a file; nothing but a signal ends them."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with open(trace, "w") as file:
        file.write(f"{os.getpid()} {child.pid} ")
    child.wait()


def deaf(callback, trace):
    """Note each attempt to stop it, and go on."""
    TRACE[:] = [trace]
    signal.signal(signal.SIGTERM, lambda *_: note("SIGTERM"))
    tell(callback, "partial")
    while True:
        time.sleep(0.01)


def note(what="companion"):
    with open(TRACE[0], "a") as file:
        file.write(what + " ")


def marks(trace):
    """Leave a trace."""
    open(trace, "w").close()
    return "done"


def dozes(callback):
    """Report once, and never again; SIGTERM ends it."""
    tell(callback, os.getpid(), 1, 4)
    time.sleep(6 * WAIT)


class Counter:
    """Its methods run in processes, to which the object or the class is sent."""

    base = 100

    def __init__(self, first):
        self.first = first

    @long_operation(executor="process")
    def count(self, n, callback):
        callback(n)
        return self.first + n

    @long_operation(executor="process")
    @classmethod
    def of_the_class(cls, callback):
        return cls.base

    @long_operation(executor="process")
    @staticmethod
    def static(callback):
        return "static"


class Special(Counter):
    base = 200


class Held(Counter):
    """One that cannot be sent to another process."""

    def __init__(self):
        super().__init__(1)
        self.lock = threading.Lock()
