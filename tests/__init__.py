import os
import signal

# What the tests start is to be as on any machine: with these, output is never buffered, and every
# start compiles all of longop again.
for _name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(_name, None)
# A shell has this ignored in what it starts in the background, and all that comes of it inherits
# that: no test would see its Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
