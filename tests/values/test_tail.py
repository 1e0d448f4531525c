"""`longop.values.tail`: the end of what a job printed."""

import threading

import pytest

from longop.values.tail import MOST, Tail


def tail_of(*pieces):
    tail = Tail()
    for piece in pieces:
        tail.write(piece)
    return tail


def test_little_is_kept_whole():
    """What is shorter than the tail is all there, an unfinished line too."""
    assert tail_of(b"a\n", b"", b"b\nc").text() == "a\nb\nc"
    assert Tail().text() == ""


@pytest.mark.parametrize("lines", [9_362, 9_363, 50_000])
def test_the_first_line_is_whole(lines):
    """Of much, the last 64 kB are kept, from the begin of a line on."""
    written = [b"%06d\n" % n for n in range(lines)]
    text = tail_of(*written).text()
    assert len(text) <= MOST
    assert len(text) > MOST - 7
    assert b"".join(written).endswith(text.encode())
    assert len(text) % 7 == 0


def test_one_endless_line():
    """Of a line that is longer than the tail its end is kept."""
    assert tail_of(b"x" * MOST, b"y" * MOST).text() == "y" * MOST
    assert tail_of(b"x" * 10 * MOST).text() == "x" * MOST


def test_any_bytes_are_text():
    """What is no UTF-8 is shown with replacement characters."""
    assert tail_of(b"a\xff\n").text() == "a\ufffd\n"


def test_lines_come_once():
    """A reader that goes on where it was gets each whole line once, and the rest at the end."""
    tail = tail_of(b"a\nb")
    first, position = tail.lines_after(0)
    assert (first, tail.lines_after(position)) == ("a\n", ("", position))
    tail.write("é\nc".encode()[:2])
    assert tail.lines_after(position) == ("", position)
    tail.write("é\nc".encode()[2:])
    second, position = tail.lines_after(position)
    assert second == "bé\n"
    tail.close()
    assert tail.lines_after(position) == ("c", tail.end)


def test_a_slow_reader_misses_whole_lines():
    """A reader that comes too late goes on at the begin of a line."""
    tail = tail_of(b"first\n")
    for n in range(20_000):
        tail.write(b"%06d\n" % n)
    text, position = tail.lines_after(6)
    assert text == tail.text()
    assert position == tail.end


def test_nothing_comes_after_the_end():
    """What a thread prints that was left behind is not the job's any more."""
    tail = tail_of(b"a\n")
    tail.close()
    tail.write(b"b\n")
    assert tail.text() == "a\n"


@pytest.mark.parametrize(("written", "text"), [
    (b"", "end\n"), (b"a\n", "a\nend\n"), (b"a", "a\nend\n")])
def test_the_last_words(written, text):
    """What is given at the end stands on a line of its own, also for a reader that goes on."""
    tail = tail_of(written)
    _, position = tail.lines_after(0)
    tail.close(b"end\n")
    assert tail.text() == text
    assert tail.lines_after(position) == (text[position:], len(text))


def test_ten_threads():
    """Writes of several threads are all there, each in one piece."""
    tail = Tail()
    barrier = threading.Barrier(10)

    def write(name):
        barrier.wait()
        for _ in range(100):
            tail.write(b"%d line\n" % name)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = tail.text().splitlines()
    assert sorted(lines) == sorted(f"{name} line" for name in range(10) for _ in range(100))
