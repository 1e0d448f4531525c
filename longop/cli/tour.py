"""A small tour: what ``longop serve`` serves when no target is named."""

from __future__ import annotations

import math
import random
import time
from typing import Callable, Iterator

from ..operation import LongOperation

Report = Callable[..., None]


@LongOperation
def count(callback: Report, to: int = 10, seconds: float = 1.0) -> None:
    """Count: text that grows. Press Cancel, and it stops at the next number.

    :param to: the last number
    :param seconds: how long each number takes
    """
    numbers = []
    for number in range(1, to + 1):
        time.sleep(seconds)
        numbers.append(str(number))
        callback(" ".join(numbers), number, to)


@LongOperation
def train(callback: Report, epochs: int = 200, rate: float = 0.05) -> dict[str, float]:
    """Train an imaginary model: numbers by name become a chart.

    :param epochs: how many epochs to train, ten in a second
    :param rate: how fast the loss falls
    """
    losses: dict[str, float] = {}
    for epoch in range(1, epochs + 1):
        time.sleep(0.1)
        losses = _losses(epoch, rate)
        callback(losses, epoch, epochs, f"epoch {epoch}")
    return losses


def _losses(epoch: int, rate: float) -> dict[str, float]:
    noise = random.gauss(0, 0.02)
    loss = math.exp(-rate * epoch)
    return {"training": loss + abs(noise), "validation": loss + 0.1 + abs(noise) * 2}


@LongOperation
def primes(below: int = 100_000) -> Iterator[list[dict[str, int]]]:
    """Find prime numbers: rows become a table. A generator reports what it yields.

    :param below: where to stop
    """
    known = [2]
    rows = []
    for number in range(3, below, 2):
        if not _is_prime(number, known):
            continue
        known.append(number)
        if len(known) % 500 == 0:
            rows.append({"count": len(known), "prime": number, "gap": number - known[-2]})
            yield rows[-10:]


def _is_prime(number: int, smaller_primes: list[int]) -> bool:
    return all(number % prime for prime in smaller_primes if prime * prime <= number)
