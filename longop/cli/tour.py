"""A small tour: what ``python -m longop.serve`` serves when it is told nothing."""

from __future__ import annotations

import math
import random
import time
from typing import Any, Callable, Iterator

from ..operation import LongOperation

Report = Callable[..., None]


@LongOperation
def count(callback: Report, to: int = 10, seconds: float = 1.0) -> None:
    """Count, a number at a time: press Cancel, and it stops at the next one.

    :param to: the last number
    :param seconds: how long each of them takes
    """
    numbers = []
    for number in range(1, to + 1):
        time.sleep(seconds)
        numbers.append(str(number))
        callback(" ".join(numbers), number, to)


@LongOperation
def train(callback: Report, epochs: int = 200, rate: float = 0.05) -> Any:
    """Train a model that is not there: numbers that are reported become a chart.

    :param epochs: how many there are, ten in a second
    :param rate: how fast the loss falls
    """
    losses = {}
    for epoch in range(1, epochs + 1):
        time.sleep(0.1)
        noise = random.gauss(0, 0.02)
        losses = {"training": math.exp(-rate * epoch) + abs(noise),
                  "validation": math.exp(-rate * epoch) + 0.1 + abs(noise) * 2}
        callback(losses, epoch, epochs, f"epoch {epoch}")
    return losses


@LongOperation
def primes(below: int = 100_000) -> Iterator[Any]:
    """Find prime numbers: a generator reports what it yields, here a table.

    :param below: where to stop
    """
    known, rows = [2], []
    for number in range(3, below, 2):
        if all(number % prime for prime in known if prime * prime <= number):
            known.append(number)
            if len(known) % 500 == 0:
                rows.append({"count": len(known), "prime": number, "gap": number - known[-2]})
                yield rows[-10:]
