"""What the tests of the history and of the server run in processes of their own."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

from longop import LongOperation, OperationCancelled
from longop.values.jsontext import dumps


def note(callback, log: str, name: str = "", end: bool = False):
    """Note that it runs; report the time, on and on, or end at once."""
    with open(log, "a") as file:
        file.write(f"{name}\n")
    while not end:
        callback(time.time())
        time.sleep(0.01)
    return name


def patient(callback, gate: str):
    """End when a file is there, told to stop or not."""
    while not os.path.exists(gate):
        try:
            callback("patient")
        except OperationCancelled:
            pass
        time.sleep(0.01)


def whereabouts(callback):
    return os.getpid()


def silent(callback):
    """Report once, and then nothing, for ever."""
    callback("silent from now on")
    threading.Event().wait()


def impatient(callback):
    """Once it is to stop, send this thread of the server the signal to end; and do not stop."""
    while not callback.cancelled:
        time.sleep(0.01)
    time.sleep(0.2)  # by then the main thread waits for this one
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait()


def stubborn(callback, lock: str):
    """Swallow every cancel and every SIGTERM, as its child does; a file is locked by both."""
    import fcntl

    with open(lock, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which a child inherits
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"],
                                 pass_fds=[file.fileno()])
        while child.poll() is None:
            try:
                callback("stubborn")
            except BaseException:
                pass
            time.sleep(0.01)


def text(callback, size: int):
    callback("half", 1, 2)
    return random.Random(size).choice("abc") * size


def broken(callback):
    print("begun")
    raise ValueError("wrong")


def main(file):
    """Run jobs without end; tell the whole of each, as a client is told, once it has ended."""
    room = threading.Semaphore(20)
    telling = threading.Lock()  # a line is written in one piece

    def tell(job):
        with telling:
            print(dumps(vars(job.status())), flush=True)
        room.release()

    operation = LongOperation(text, limit=4, history=file)
    while True:
        room.acquire()
        operation.start(size=random.randrange(20_000)).add_done_callback(tell)


if __name__ == "__main__":
    main(sys.argv[1])
