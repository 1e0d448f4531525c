"""A function that takes long. It knows nothing of longop.

It has a bug, and keeps it: ``cancelled = False`` inside the function makes a local variable, so
``cancel_process()`` changes another one, which nobody reads. The function cannot be stopped by it.
Served by longop it stops all the same.
"""

import time

cancelled = False


def a_long_process(callback):
    """Count to ten, a number a second."""
    result = ""
    step = 0
    cancelled = False
    for number in range(1, 11):
        if cancelled:
            break
        time.sleep(1)
        step = number
        result = f"{result} {number}".strip()
        callback(result, step)


def cancel_process():
    """Ask the function to stop, in vain."""
    global cancelled
    cancelled = True
