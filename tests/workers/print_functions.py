"""Functions that print, for `test_printing`."""

import os
import subprocess
import sys
import threading


def talk(callback):
    """Print in all ways there are."""
    print("one")
    sys.stderr.write("two\n")
    os.write(1, b"three\n")
    callback(1)
    subprocess.run([sys.executable, "-c", "print('four')"], check=True)
    threads = [threading.Thread(target=sys.stdout.write, args=("five\n",)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("no newline", end="")


def fail(callback):
    """Print, and fail."""
    print("last words", end="")
    raise ValueError("wrong")


def die(callback):
    """Print, and be killed."""
    print("last words", flush=True)
    os._exit(3)
