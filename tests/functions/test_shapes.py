"""`longop.functions.shapes`: ready adapters for the forms of callback that are often met."""

import urllib.request
from pathlib import Path

import pytest

import longop
from longop.functions.adapted import AdaptedCallback

from ..waiting import end_of


@pytest.mark.parametrize(("report", "args", "latest"), [
    (longop.done_total, (3, 10), (None, 3, 10, None)),
    (longop.done_total, (3, 0), (None, 3, None, None)),
    (longop.done_total, (3,), (None, 3, None, None)),
    (longop.done_total, (3, 10, "third"), (None, 3, 10, "third")),
    (longop.fraction_message, (0.5, "half"), ((None, 0.5, 1, "half"))),
    (longop.fraction_message, (0.5,), (None, 0.5, 1, None)),
    (longop.block_size_total, (2, 1000, 5000), (None, 2000, 5000, None)),
    (longop.block_size_total, (5, 1000, 4500), (None, 4500, 4500, None)),
    (longop.block_size_total, (2, 1000, -1), (None, 2000, None, None)),
    (longop.progress_dict, ({"status": "downloading", "downloaded_bytes": 0, "total_bytes": None,
                             "total_bytes_estimate": 9.5},), (None, 0, 9.5, "downloading")),
    (longop.progress_dict, ({"status": "pulling", "completed": 3, "total": 4, "digest": "x"},),
     (None, 3, 4, "pulling")),
    (longop.progress_dict, ({"status": "verifying"},), (None, None, None, "verifying")),
])
def test_shapes(report, args, latest):
    """Each form is read as result, step, total and message."""
    callback = AdaptedCallback(report)
    callback(*args)
    assert callback.latest[1:] == latest


@pytest.mark.parametrize("blocks", [(b"abc", b"", b"de"), (3, 0, 2),
                                    (memoryview(b"abc"), bytearray(b"de"))])
def test_sum_of_blocks(blocks):
    """Blocks, or their sizes, are added up."""
    callback = AdaptedCallback(longop.BlockSum)
    callback.begin()
    for block in blocks:
        callback(block)
    assert callback.latest[2] == 5


def test_reporthook_needs_no_option(tmp_path):
    """urlretrieve is read by its parameter's name, without report=."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(bytes(20_000))
    operation = longop.LongOperation(urllib.request.urlretrieve)
    status = end_of(operation.start(url=source.as_uri(), filename=str(target)))
    assert (status.step, status.total, target.stat().st_size) == (20_000, 20_000, 20_000)


def upload(path: Path, callback):
    """Report each block of a file, as ``ftplib.FTP.storbinary`` does."""
    with path.open("rb") as file:
        for block in iter(lambda: file.read(8192), b""):
            callback(block)


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_blocks_of_a_job(executor, make, tmp_path):
    """The blocks of each job are counted from zero."""
    path = tmp_path / "a"
    path.write_bytes(bytes(20_000))
    operation = make(upload, executor, report=longop.BlockSum)
    for _ in range(2):
        assert end_of(operation.start(path=path)).step == 20_000


def stream(words):
    """Yield tokens, as a model does."""
    yield from words


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize(("items", "whole"), [
    (["a ", "b"], "a b"), ([b"a", b"b"], b"ab"), ([{"row": 1}, 2], [{"row": 1}, 2])])
def test_append_is_all_a_generator_needs(executor, items, whole, make):
    """What a generator yields makes the result, with ``report=longop.append``."""
    operation = make(stream, executor, callback=False, report=longop.append)
    job = operation.start(words=items)
    assert end_of(job).result == whole
    assert job.result() == whole


def test_append_and_result_do_not_mix():
    """An adapter says what is new, or what the result is."""
    callback = AdaptedCallback(lambda: {"append": "a", "result": "b"})
    with pytest.raises(TypeError, match="append or result"):
        callback()
