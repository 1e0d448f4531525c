"""`longop.values.keys`: which job id a key stands for. More is in `test_dispatcher`."""

import pytest

from longop import KeyReused, LongOperation
from longop.values.keys import Keys
from longop.values import jsontext

from ..waiting import end_of


@pytest.fixture
def keys():
    return Keys(("module", "name"), b"salt")


class Upload(bytes):
    """As `web` makes them of files."""


def size(data: bytes):
    return len(data)


def test_ids(keys):
    """An id is made of the key and of the parameters, whose order does not matter."""
    begin, id = keys.ids("key", {"n": 1, "m": [2]})
    assert keys.ids("key", {"m": [2], "n": 1}) == (begin, id)
    assert id.startswith(begin)
    assert (len(begin), len(id)) == (16, 32)
    assert keys.ids("key", {"n": 1})[0] == begin
    assert keys.ids("key", {"n": 1})[1] != id
    assert keys.ids("other", {"n": 1, "m": [2]})[0] != begin
    assert Keys(("module", "other"), b"salt").ids("key", {})[0] != begin
    assert Keys(("module", "name"), b"pepper").ids("key", {})[0] != begin


def test_joined_jobs(keys):
    """A key that joined a job means it; of 1,000 such keys the oldest is dropped."""
    begin, id = keys.ids("key", {})
    assert (keys.find(begin), keys.job_id(id)) == (None, id)
    keys.join(id, "joined")
    assert (keys.find(begin), keys.job_id(id)) == (id, "joined")
    for number in range(1_000):
        keys.join(f"{number:032}", "joined")
    assert (keys.find(begin), keys.job_id(id)) == (None, id)
    assert keys.job_id(f"{0:032}") == "joined"


@pytest.mark.parametrize("wrap", [
    bytes, bytearray, memoryview, Upload, lambda data: [data, b"other"]])
def test_a_key_with_large_parameters(monkeypatch, wrap):
    """Binary parameters are part of what a key stands for, but are never encoded as JSON."""
    sizes = []

    def dumps(value):
        sizes.append(len(jsontext.dumps(value)))
        return jsontext.dumps(value)

    monkeypatch.setattr("longop.values.keys.dumps", dumps)
    operation = LongOperation(size)
    large = b"abc" * 1_000_000
    job = operation.start_once("key", data=wrap(large))
    end_of(job)
    assert operation.start_once("key", data=wrap(bytes(large))).id == job.id
    with pytest.raises(KeyReused, match=job.id):
        operation.start_once("key", data=wrap(large[:-1] + b"d"))
    assert max(sizes) < 1_000
