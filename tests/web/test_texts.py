"""`longop.web.texts`: statuses as JSON, each version made once."""

import json
import threading

import pytest

from longop import State, Status
from longop.values.pieces import SHORT
from longop.web.held import Later
from longop.web.texts import StatusTexts

WORDS = '"elapsed":null,"eta":null'


def status(version=1, result="x", **more):
    return Status("id", "m", "n", State.RUNNING, result=result, version=version, **more)


def text_of(texts, status):
    split = texts.get(status)
    if isinstance(split, Later):
        if split.claim():
            split.run()
        split = split.made.result()
    return split.before + split.end(status)


@pytest.mark.parametrize("result", [
    None, "x", WORDS, {"a": WORDS}, "x" * 3 * SHORT, WORDS * SHORT, list(range(100_000)), object()])
def test_text(result):
    """The text of a status has its fields in their order, with the times of that moment."""
    texts = StatusTexts()
    for times in (None, None), (1.5, 2.25), (3.0, None):
        now = status(result=result, elapsed=times[0], eta=times[1])
        shown = json.loads(text_of(texts, now))
        assert list(shown) == list(vars(now))
        expected = dict(vars(now), state="running", result=shown["result"])
        assert shown == expected
    if result.__class__ in (str, list):
        assert shown["result"] == result


def test_large_text_is_made_once():
    """Of a version, a large text is made once, however many ask for it; a new one anew."""
    texts = StatusTexts()
    large = "x" * 3 * SHORT
    first = texts.get(status(1, large))
    assert texts.get(status(1, large, elapsed=2.0)) is first
    assert first.claim()
    assert not first.claim()
    first.run()
    assert texts.get(status(1, large)) is first
    assert texts.get(status(2, large)) is not first


def test_large_texts_are_bounded():
    """Large texts beyond 16 MiB are forgotten, but for the newest; short ones stay few."""
    texts = StatusTexts()
    for number in range(10):
        one = Status(str(number), "m", "n", result="x" * 3_000_000)
        text_of(texts, one)
    texts.get(Status("last", "m", "n", result="x" * 3_000_000))
    assert [*texts._large] == ["5", "6", "7", "8", "9", "last"]
    for number in range(1_000):
        texts.get(Status(str(number), "m", "n"))
    assert len(texts._short) <= 101


def test_large_text_in_many_threads():
    """Threads that ask for a large text at once share one."""
    texts, barrier, seen = StatusTexts(), threading.Barrier(8), []

    def ask():
        barrier.wait()
        seen.append(texts.get(status(1, "x" * 3 * SHORT)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, seen))) == 1
