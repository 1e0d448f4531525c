"""`longop.values.growth`: a result that grows at its end."""

import sys
import threading

import pytest

from longop.values.growth import Growth, grow, settled

from ..memory import peak_below
from ..pythons import tells_sizes


@pytest.mark.parametrize(("start", "pieces", "whole"), [
    ("", ["a", "", "bc"], "abc"), ("a", ["b"], "ab"), ("", [], ""),
    (b"", [b"a", bytearray(b"b"), memoryview(b"c")], b"abc"), (b"a", [], b"a"),
    ([], [1, None, [2], {}], [1, None, [2], {}]), ([0], [1], [0, 1])])
def test_the_value_is_all_that_was_added(start, pieces, whole):
    """The value is what was there at first, and all pieces in their order."""
    growth = Growth(start)
    for piece in pieces:
        growth.add(piece)
    assert growth.value() == whole
    assert len(growth) == len(whole)
    assert settled(growth) == whole


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 70_000])
@pytest.mark.parametrize("make", [lambda n: chr(97 + n % 26), lambda n: bytes([n % 256]), int])
def test_since_gives_what_follows(make, size):
    """What follows any position is the end of the value from there."""
    growth = grow(None, make(0))
    for n in range(size):
        growth.add(make(n))
    positions = {0, 1, 256, size // 2, size - 1, size, size + 1}
    given = {at: growth.since(at) for at in positions if at >= 0}
    whole = growth.value()
    assert given == {at: whole[at:] for at in given}
    assert growth.since(size // 2) == whole[size // 2:]  # when it is in one piece too


def test_a_value_does_not_grow():
    """What was returned stays as it was."""
    growth = Growth([1])
    first = growth.value()
    first.append("mine")
    growth.add(2)
    assert growth.value() == [1, 2]
    assert Growth("a").value() == "a"


def test_what_it_began_with_is_not_changed():
    """The list that a growth begins with is left alone."""
    start = [1]
    growth = grow(start, 2)
    growth.add(2)
    growth.value()
    assert start == [1]


@pytest.mark.parametrize(("start", "piece", "begin"), [
    ("a", "b", "a"), ("a", b"b", b""), ("a", 1, []), (None, "b", ""), (7, "b", ""),
    ([1], 2, [1]), ([1], "b", ""), ({}, {}, []), (b"a", b"b", b"a")])
def test_a_growth_begins_with_what_a_piece_can_follow(start, piece, begin):
    """It begins with the result that was there if the piece can follow it, else empty."""
    assert grow(start, piece).value() == begin


@pytest.mark.parametrize(("start", "piece", "word"), [
    ("", b"b", "bytes cannot follow"), (b"", "b", "text cannot follow"),
    ([], "b", "text cannot follow"), ("", 1, "list of items cannot follow")])
def test_kinds_do_not_mix(start, piece, word):
    """A piece of another kind is refused, and nothing is added."""
    growth = Growth(start)
    with pytest.raises(TypeError, match=word):
        growth.add(piece)
    assert growth.value() == start


def test_a_list_goes_on_in_another():
    """What one growth gave of its items, text or bytes, another one takes."""
    for items in ["ab", b"ab", [1, [2]]]:
        growth = Growth(type(items)())
        growth.extend(items)
        assert growth.value() == items


def test_threads_lose_nothing():
    """Each piece of eight threads is there once, whoever reads meanwhile."""
    growth = Growth("")
    barrier = threading.Barrier(9)
    every = 2_000

    def add(letter):
        barrier.wait()
        for _ in range(every):
            growth.add(letter)

    threads = [threading.Thread(target=add, args=(letter,)) for letter in "abcdefgh"]
    for thread in threads:
        thread.start()
    barrier.wait()
    seen = ""
    while any(thread.is_alive() for thread in threads):
        more = growth.since(len(seen))
        seen += more
        assert growth.value().startswith(seen)
    for thread in threads:
        thread.join()
    seen += growth.since(len(seen))
    assert seen == growth.value()
    assert {letter: seen.count(letter) for letter in "abcdefgh"} == dict.fromkeys("abcdefgh", every)


class CountedText(str):
    """A text that counts the characters which are copied when it is joined to others."""

    copied = 0

    def __add__(self, other):
        CountedText.copied += len(self) + len(other)
        return CountedText(str.__add__(self, other))

    def join(self, parts):
        joined = CountedText(str.join(self, parts))
        CountedText.copied += len(joined)
        return joined


@pytest.mark.parametrize("looks", [False, True])
def test_a_character_is_copied_a_few_times(monkeypatch, looks):
    """However long the text is, each character is copied equally often, with a reader too."""
    from longop.values import growth as module

    monkeypatch.setitem(module._EMPTY, str, CountedText(""))
    costs = []
    for size in (200_000, 2_000_000):
        CountedText.copied = 0
        growth = Growth("")
        for n in range(size // 20):
            growth.add("x" * 20)
            if looks and n % 1000 == 999:
                growth.since(20 * (n - 999))
        costs.append(CountedText.copied / size)
    assert costs[1] < 1.5 * costs[0]
    assert costs[1] < 10


@tells_sizes
def test_pieces_take_little_memory():
    """A text that came in many small pieces takes little more memory than the text."""
    growth = Growth("")
    for _ in range(100_000):
        growth.add("x" * 20)
    chunks = sum(map(sys.getsizeof, growth._chunks))
    assert chunks < 1.1 * 2_000_000
    assert len(growth._loose) < 256


def test_a_large_piece_is_not_copied():
    """A piece of 100 MB is kept as it is, whatever small ones are around it."""
    growth = Growth(b"")
    growth.add(b"before")
    len(growth)  # what was added becomes a chunk
    large = bytes(100_000_000)
    with peak_below(100_000):
        growth.add(large)
        assert len(growth) == len(large) + 6
        growth.add(b"")
        growth.add(b"after")
        assert growth.since(len(large) + 6) == b"after"
    assert growth._chunks[1] is large
