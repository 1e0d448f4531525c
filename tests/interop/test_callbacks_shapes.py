"""Callbacks that do or return something, of the standard library and of packages' forms.

Stand-ins here have the form of a package that is not worth its installation for one call.
"""

import asyncio
import os
import shutil
import sqlite3
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import longop
from longop import LongOperation, State

from ..waiting import WAIT, end_of
from .peers import needs


class Sftp:
    """Has the ``put`` of ``paramiko.SFTPClient``."""

    def __init__(self, on_block):
        self.done = 0
        self.confirmed = False
        self._on_block = on_block

    def put(self, localpath, remotepath, callback=None, confirm=True):
        size = os.stat(localpath).st_size
        while self.done < size:
            self.done += 1 << 15
            callback(self.done, size)
            self._on_block(self.done)
        self.confirmed = confirm


def test_paramiko(tmp_path):
    """put(callback=callback) needs report=longop.done_total; a cancel ends the transfer."""
    path = tmp_path / "file"
    path.write_bytes(bytes(5 << 15))
    third, go_on = threading.Event(), threading.Event()

    def on_block(done):
        if done == 3 << 15:
            third.set()
            assert go_on.wait(WAIT)

    sftp = Sftp(on_block)

    def upload(callback):
        sftp.put(path, "there", callback=callback)

    job = LongOperation(upload, report=longop.done_total).start()
    assert third.wait(WAIT)
    status = job.status()
    assert (status.step, status.total, status.progress) == (3 << 15, 5 << 15, 0.6)
    job.cancel()
    go_on.set()
    assert end_of(job).state is State.CANCELLED
    assert (sftp.done, sftp.confirmed) == (4 << 15, False)


# shutil and tarfile: the callback does or returns something

def tree(folder, count):
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_text("text")
    return folder


def test_copytree_copies_with_the_callback(tmp_path):
    """As copy_function the callback copies by its report=, and says which file."""
    source = tree(tmp_path / "source", 5)
    target = tmp_path / "target"
    third, go_on = threading.Event(), threading.Event()

    def copy(source, target):
        path = shutil.copy2(source, target)
        if len(list(Path(target).parent.iterdir())) == 3:
            third.set()
            assert go_on.wait(WAIT)
        return {"message": path, "returns": path}

    def back_up(callback, to: Path):
        shutil.copytree(str(source), str(to), copy_function=callback)
        return "all"

    job = LongOperation(back_up, report=copy).start(to=target)
    assert third.wait(WAIT)
    job.cancel()
    go_on.set()
    status = end_of(job)
    assert (status.state, status.result) == (State.CANCELLED, None)
    copied = list(target.iterdir())
    assert len(copied) == 3
    assert all(path.read_text() == "text" for path in copied)  # none is half a file


def test_copytree_without_a_function_of_ones_own(tmp_path):
    """shutil.copytree itself is an operation, whose ignore= is the callback."""
    source = tree(tmp_path / "source", 3)

    def folder(path, names):
        return {"message": str(path), "returns": ["1.txt"]}

    operation = LongOperation(shutil.copytree, callback="ignore", report=folder)
    job = operation.start(src=str(source), dst=str(tmp_path / "target"))
    assert end_of(job).message == str(source)
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["0.txt", "2.txt"]


def test_tarfile_filter_has_its_member_back(tmp_path):
    """As filter= of TarFile.add the callback returns what report= says it returns."""
    source = tree(tmp_path / "source", 3)

    def member(info):
        kept = None if info.name.endswith("1.txt") else info
        return {"message": info.name, "returns": kept}

    def pack(callback):
        with tarfile.open(tmp_path / "tar", "w") as tar:
            tar.add(source, "root", filter=callback)

    job = LongOperation(pack, report=member).start()
    assert end_of(job).state is State.COMPLETED
    with tarfile.open(tmp_path / "tar") as tar:
        assert sorted(tar.getnames()) == ["root", "root/0.txt", "root/2.txt"]


def test_tarfile_is_cut_off(tmp_path):
    """After a cancel in filter= no further member is read, and the archive has no end."""
    source = tree(tmp_path / "source", 3)
    second, go_on = threading.Event(), threading.Event()
    names = []

    def member(info):
        names.append(info.name)
        if len(names) == 2:
            second.set()
            assert go_on.wait(WAIT)
        return {"returns": info}

    def pack(callback):
        with tarfile.open(tmp_path / "tar", "w") as tar:
            tar.add(source, "root", filter=callback)

    job = LongOperation(pack, report=member).start()
    assert second.wait(WAIT)
    job.cancel()
    go_on.set()
    assert end_of(job).state is State.CANCELLED
    assert len(names) == 2
    assert (tmp_path / "tar").stat().st_size < tarfile.RECORDSIZE  # a whole one is filled up


# sqlite3

LONG_QUERY = """
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers)
    select max(n) from numbers
"""


def test_sqlite_query_is_interrupted():
    """A cancel in a progress handler interrupts the query, though sqlite3 hides the error."""
    begun = threading.Event()

    def report():
        begun.set()

    def query(callback):
        with closing(sqlite3.connect(":memory:")) as database:
            database.set_progress_handler(callback, 1_000)
            return database.execute(LONG_QUERY).fetchall()

    job = LongOperation(query, report=report).start()
    assert begun.wait(WAIT)
    job.cancel()
    status = end_of(job)
    assert (status.state, status.error) == (
        State.CANCELLED, "OperationalError: interrupted")


# Hooks that are awaited

async def call_tool(steps, progress_callback):
    """Has the form of the MCP client's call: the hook is a coroutine function."""
    for step in range(1, steps + 1):
        await progress_callback(step, steps, f"step {step}")
        await asyncio.sleep(0.001)
    return "done"


def test_async_hook():
    """An async progress hook is awaited, gets a message, and a cancel ends what calls it."""
    async def work(callback, steps: int):
        return await call_tool(steps, progress_callback=callback)

    operation = LongOperation(work, report=longop.done_total)
    status = end_of(operation.start(steps=3))
    assert (status.state, status.result, status.step, status.total, status.message) == (
        State.COMPLETED, "done", 3, 3, "step 3")
    job = operation.start(steps=1_000_000)
    next(status for status in job.updates() if status.step)
    job.cancel()
    assert end_of(job).state is State.CANCELLED


@needs("mcp", python=(3, 10))
def test_mcp(caplog):
    """An MCP client's call_tool(progress_callback=callback) reports; cancel ends the tool."""
    import mcp
    from mcp.server import MCPServer
    from mcp.server.mcpserver import Context

    server = MCPServer("server")
    ended = []

    @server.tool()
    async def slow(steps: int, ctx: Context) -> str:
        try:
            for step in range(1, steps + 1):
                await ctx.report_progress(step, steps, f"step {step}")
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "done"

    async def work(callback, steps: int):
        async with mcp.Client(server) as client:
            answer = await client.call_tool(
                "slow", {"steps": steps}, progress_callback=callback)
            return answer.content[0].text

    operation = LongOperation(work, report=longop.done_total)
    status = end_of(operation.start(steps=3))
    assert (status.state, status.result, status.step, status.total, status.message) == (
        State.COMPLETED, "done", 3, 3, "step 3")
    assert not [record for record in caplog.records if record.name.startswith("mcp")]
    job = operation.start(steps=1_000_000)
    next(status for status in job.updates() if status.step)
    job.cancel()
    assert end_of(job).state is State.CANCELLED
    assert ended == ["cancelled"]
