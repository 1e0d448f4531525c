"""What requests cost that were made to be slow or large, and whether any is answered with a 5xx."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from longop.web.limits import Limits

from ..web import mutated
from ..web.heads import WORST, api_of, take
from . import bodies

COUNT = 100_000  # requests that are changed at random
SEED = 1
MIB = 2 ** 20
BODY = 29_900_000  # bytes
HEAD = 65_000
MOST = 5.0  # milliseconds for which a head may hold the loop
TIMES = 15


def bench_heads():
    """Print for how long each of the worst heads holds the loop; fail if one does for too long."""
    found = sorted(((_milliseconds(name), name) for name in WORST), reverse=True)
    for milliseconds, name in found:
        print(f"{name:40} {milliseconds:8.3f} ms")
    slow = [name for milliseconds, name in found if milliseconds > MOST]
    if slow:
        sys.exit(f"held the loop for more than {MOST} ms: {', '.join(slow)}")


def _milliseconds(name):
    """Return the time of a head, or of the longest one whose URL is within its limit."""
    api = api_of(Limits())
    heads = [WORST[name](size) for size in (HEAD, Limits().max_url - 100)]
    return max(median(_time(api, head) for _ in range(TIMES)) for head in heads)


def _time(api, head):
    began = time.thread_time()  # of this thread only: others may use the processor meanwhile
    take(api, head)
    return 1000 * (time.thread_time() - began)


def bench_mutate():
    """Send requests that were changed at random; fail if one is answered with a 5xx."""
    began = time.monotonic()
    statuses = mutated.run(COUNT, SEED)
    seconds = time.monotonic() - began
    print(f"{COUNT:,} requests of seed {SEED} in {seconds:.0f} s, by status: "
          f"{dict(sorted(statuses.items()))}")


def bench_bodies():
    """Print what memory each of the worst bodies takes; fail if one takes too much (Linux)."""
    large = []
    with TemporaryDirectory() as folder:
        for name in bodies.WORST:
            sent = bodies.request_of(name, BODY)
            file = Path(folder) / "request"
            file.write_bytes(sent)
            taken, status, answered, seconds, held = _serve_alone(file)
            allowed = 8 * len(sent) + 40 * MIB
            print(f"{name:38} {len(sent) / 1e6:5.1f} MB: {status} of {answered:6} bytes, "
                  f"{taken / MIB:4.0f} of {allowed / MIB:3.0f} MiB, {seconds:.2f} s, others "
                  f"waited {1000 * held:4.0f} ms", flush=True)
            if taken > allowed:
                large.append(name)
    if large:
        sys.exit(f"took more than 8 times their size and 40 MiB: {', '.join(large)}")


def _serve_alone(file):
    """Serve a request in a process of its own; return its figures."""
    done = subprocess.run([sys.executable, "-m", "tests.bench.bodies", str(file)], check=True,
                          stdout=subprocess.PIPE, text=True)
    taken, status, answered, seconds, held = done.stdout.split()
    return int(taken), int(status), int(answered), float(seconds), float(held)
