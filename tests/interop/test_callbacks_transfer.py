"""Functions that transfer files: boto3, yt-dlp and ftplib are handed the callback as it is.

The functions are written as their users would write them, and know nothing of longop.
"""

import gc
import os
import threading
from pathlib import Path

import pytest

import longop
from longop import LongOperation, State

from ..waiting import WAIT, end_of, wait_until
from .loopback import Bucket, Ftp, Media
from .peers import needs

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # boto3's
BOTO3 = needs("boto3")
YT_DLP = needs("yt_dlp")


@pytest.fixture
def serve(monkeypatch):
    """Start servers on loopback, and stop them with the test."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    serving = []

    def serve(kind):
        server = kind()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        serving.append((server, thread))
        return server

    yield serve
    for server, thread in serving:
        server.gate.open()
        server.shutdown()
        thread.join(WAIT)
        server.server_close()


@pytest.fixture
def file(tmp_path):
    """Make a file of some megabytes of nothing."""
    def file(megabytes):
        path = tmp_path / "file"
        with open(path, "wb") as stream:
            stream.truncate(megabytes << 20)
        return path
    return file


def half_done(job, server):
    """Wait until the server has got a part and holds the rest; return the job's status."""
    assert server.gate.reached.wait(WAIT), job
    return next(status for status in job.updates() if status.step)


def cancel_half_way(job, server, has_come=lambda: True):
    """Cancel a job while the server holds the rest; return its last status.

    The server goes on when the cancel has come to where the code runs.
    """
    half_done(job, server)
    job.cancel()
    assert job.state is State.CANCELLING
    wait_until(has_come)
    server.gate.open()
    return end_of(job)


# boto3

def connect(url):
    import boto3

    return boto3.client("s3", endpoint_url=url, region_name="us-east-1",
                        aws_access_key_id="id", aws_secret_access_key="secret")


def move(url: str, path: str, callback):
    s3 = connect(url)
    s3.upload_file(path, "bucket", "key", Callback=callback)
    os.remove(path)
    return "moved"


def move_elsewhere(url: str, path: str, mark: str, callback):
    callback.on_cancel(Path(mark).touch)
    return move(url, path, callback)


def bring(url: str, path: str, callback):
    s3 = connect(url)
    s3.download_file("bucket", "key", path, Callback=callback)
    return "brought"


@pytest.fixture
def bucket(serve):
    yield serve(Bucket)
    gc.collect()  # what boto3 has left open, here and not in another test


@BOTO3
@pytest.mark.parametrize("megabytes", [7, 32], ids=["one piece", "parts"])
def test_boto3_does_not_lose_a_file(bucket, file, megabytes):
    """On a cancel upload_file raises: nothing is stored, and the file is not removed."""
    path = file(megabytes)
    operation = LongOperation(move, report=longop.BlockSum)
    status = cancel_half_way(operation.start(url=bucket.url, path=str(path)), bucket)
    assert (status.state, status.stop_reason) == (State.CANCELLED, "cancelled")
    assert "the job was cancelled" in (status.error or "the job was cancelled")  # old botocore
    assert 0 < status.step < megabytes << 20
    assert (path.exists(), bucket.objects, bucket.unfinished) == (True, {}, {})


@BOTO3
def test_boto3_in_a_process_does_not_lose_a_file(make, bucket, file, tmp_path):
    """In a process, too, the threads of boto3 hand the cancel on to the function."""
    path, mark = file(32), tmp_path / "mark"
    operation = make(move_elsewhere, report=longop.BlockSum, grace=WAIT)
    job = operation.start(url=bucket.url, path=str(path), mark=str(mark))
    status = cancel_half_way(job, bucket, mark.exists)
    assert (status.state, status.stop_reason) == (State.CANCELLED, "cancelled")
    assert "stopped by" not in (status.error or "")  # no signal was needed
    assert (path.exists(), bucket.objects, bucket.unfinished) == (True, {}, {})


@BOTO3
@pytest.mark.parametrize("megabytes", [7, 32], ids=["one piece", "parts"])
@pytest.mark.parametrize("executor", ["thread", "process"])
def test_boto3_progress(make, bucket, file, megabytes, executor):
    """The bytes are counted while they are sent, whichever threads send them."""
    path = file(megabytes)
    operation = make(move, executor, report=longop.BlockSum)
    job = operation.start(url=bucket.url, path=str(path))
    assert 0 < half_done(job, bucket).step < megabytes << 20
    bucket.gate.open()
    status = end_of(job)
    assert (status.state, status.result, status.step) == (
        State.COMPLETED, "moved", megabytes << 20)
    assert (path.exists(), bucket.objects) == (False, {"/bucket/key": megabytes << 20})


@BOTO3
def test_boto3_download(bucket, tmp_path):
    """On a cancel download_file raises, and leaves no half of a file."""
    operation = LongOperation(bring, report=longop.BlockSum)
    job = operation.start(url=bucket.url, path=str(tmp_path / "file"))
    status = cancel_half_way(job, bucket)
    assert (status.state, status.result) == (State.CANCELLED, None)
    assert 0 < status.step < 7 << 20
    assert list(tmp_path.iterdir()) == []


# yt-dlp

@pytest.fixture
def fetch(tmp_path):
    def fetch(url: str, callback):
        from yt_dlp import YoutubeDL

        options = {"progress_hooks": [callback], "quiet": True, "noprogress": True,
                   "outtmpl": str(tmp_path / "%(id)s.%(ext)s"), "cachedir": False}
        with YoutubeDL(options) as downloader:
            downloader.download([url])
        return "fetched"

    return fetch


@YT_DLP
def test_yt_dlp_progress(serve, fetch, tmp_path):
    """Each event of progress_hooks=[callback] is seen."""
    server = serve(Media)
    job = LongOperation(fetch, report=longop.progress_dict).start(url=server.url + "/film.mp4")
    status = half_done(job, server)
    size = len(server.data)
    assert 0 < status.step < size
    assert (status.total, status.message) == (size, "downloading")
    server.gate.open()
    status = end_of(job)
    assert (status.state, status.step, status.message) == (State.COMPLETED, size, "finished")
    assert (tmp_path / "film.mp4").stat().st_size == size


@YT_DLP
def test_yt_dlp_cancel(serve, fetch, tmp_path):
    """A cancel ends the download; what has come stays as yt-dlp's ``.part``, to be resumed."""
    server = serve(Media)
    job = LongOperation(fetch, report=longop.progress_dict).start(url=server.url + "/film.mp4")
    status = cancel_half_way(job, server)
    assert (status.state, status.error, status.result) == (State.CANCELLED, None, None)
    (part,) = tmp_path.iterdir()
    assert part.name == "film.mp4.part"
    assert part.stat().st_size < len(server.data)


# ftplib

def upload(path: str, port: int, callback):
    from ftplib import FTP

    with FTP() as ftp, open(path, "rb") as file:
        ftp.connect("127.0.0.1", port, timeout=WAIT)
        ftp.login()
        ftp.storbinary("STOR there", file, callback=callback)
    return "stored"


def test_ftplib_progress(serve, file):
    """The bytes that storbinary(callback=callback) has sent are counted."""
    server = serve(Ftp)
    job = LongOperation(upload, report=longop.BlockSum).start(
        path=str(file(16)), port=server.server_address[1])
    assert 0 < half_done(job, server).step < 16 << 20
    server.gate.open()
    status = end_of(job)
    assert (status.state, status.result, status.step) == (State.COMPLETED, "stored", 16 << 20)
    assert server.stored == {"there": 16 << 20}


@pytest.mark.parametrize("verdict", ["226 Stored.", "426 Connection closed."])
def test_ftplib_cancel(serve, file, verdict):
    """A cancel ends the transfer, also if the FTP object's own clean-up then raises."""
    server = serve(Ftp)
    server.verdict = verdict
    job = LongOperation(upload, report=longop.BlockSum).start(
        path=str(file(16)), port=server.server_address[1])
    status = cancel_half_way(job, server)
    assert (status.state, status.result) == (State.CANCELLED, None)
    assert server.stored["there"] < 16 << 20
