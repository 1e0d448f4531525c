"""A function that takes long. It knows nothing of longop.

It has a bug, which is kept on purpose: ``cancelled = False`` inside the function creates a
local variable, so ``cancel_process()`` sets a global one that nobody reads, and cannot stop
the function. Served by longop the function stops all the same.
"""

import time

cancelled = False


def a_long_process(callback):
    """Count to ten, one number a second."""
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
