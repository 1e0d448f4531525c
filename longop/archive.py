"""Finished jobs in an sqlite3 file: they survive ``kill -9`` and a power cut.

A job's row is written when it starts, at most once a second while it runs, and at its end; only
that last write waits until the disk has it, so an SD card lives long. What the file cannot take is
remembered in memory, and written as soon as it can be.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any, Iterator, Mapping

from .errors import ForgottenJob, HistoryError
from .history import MAX_SHOWN as SHOWN, History
from .job import logger
from .jsontext import dumps, loads
from .status import State, Status

_OURS = 0x6C6F6E67  # "long"
# `place` is the order in which the jobs ended, `total` the size of all before it, `at` the time. A
# job that is alive has none of them. Of a forgotten one, which has place 0, the id is kept.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, place INTEGER, total INTEGER, at REAL,
                                 status TEXT, result TEXT, parameters TEXT);
CREATE INDEX IF NOT EXISTS places ON jobs (place);
CREATE INDEX IF NOT EXISTS totals ON jobs (total);
CREATE INDEX IF NOT EXISTS ages ON jobs (at);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value BLOB);
PRAGMA application_id = {_OURS};"""
_INSERT = "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO "
_SAVE = _INSERT + f"""UPDATE SET place = excluded.place, total = excluded.total, at = excluded.at,
    status = excluded.status, result = excluded.result,
    parameters = CASE WHEN length(parameters) <= {SHOWN} THEN parameters END WHERE place IS NULL"""
_BEGIN = _INSERT + "UPDATE SET parameters = excluded.parameters WHERE place IS NOT 0"
_DROP = "DELETE FROM jobs WHERE place = 0 AND rowid <= (SELECT max(rowid) FROM jobs) - ?"
_FORGET = """UPDATE jobs SET place = 0, total = NULL, at = NULL, status = NULL, result = NULL,
    parameters = NULL WHERE """
_NEXT = ("SELECT place + 1, total + length(status) + length(result) FROM jobs WHERE place > 0 "
         "ORDER BY place DESC LIMIT 1")


class FileHistory(History):
    """Keep ``max_jobs`` finished jobs, or ``max_bytes``, for ``max_age`` seconds, in a file.

    With ``requeue`` jobs that waited when the server ended wait again, as soon as their operation
    is there; without it they are `interrupted`, as those are that ran. Raises `HistoryError` if
    the file cannot be used.
    """

    interval = 1.0

    def __init__(self, file: str | os.PathLike[str], max_jobs: int = 100_000,
                 max_bytes: int = 256 * 1024 * 1024, max_age: float = float("inf"),
                 requeue: bool = False) -> None:
        super().__init__()
        self._file = os.path.abspath(file)
        self._limits = max_jobs, max_bytes, max_age
        self._failing = False  # the last write has failed
        try:
            self._db = self._open()
            self._inode = os.stat(self._file).st_ino
            (self.salt,) = self._db.execute(
                "SELECT value FROM settings WHERE name = 'salt'").fetchone()
            self._interrupt_all(requeue)
        except (sqlite3.Error, HistoryError) as error:
            closed = os.path.exists(file) and not os.access(file, os.W_OK)
            hint = ": it may not be written" if closed else (
                ": another server uses it" if "locked" in str(error) else "")
            raise HistoryError(f"cannot keep the history in {file}: {error}{hint}") from error

    def __iter__(self) -> Iterator[Status]:
        """Go through the thousand newest finished jobs, newest first, without their results."""
        with self._lock:
            rows = self._rows("SELECT status FROM jobs WHERE place > 0 "
                              "ORDER BY place DESC LIMIT 1000")
            return iter([*super().__iter__(), *(_read(*row) for row in rows)])

    def add(self, status: Status) -> None:
        """Remember a finished job, on the disk by the time this returns."""
        with self._lock:
            super().add(status)  # until the file has it
            self._flush()

    def get(self, id: str) -> Status:
        """Return a finished job's last status; raise `UnknownJob` or `ForgottenJob`."""
        with self._lock:
            for text, result in self._rows(
                    "SELECT status, result FROM jobs WHERE id = ? AND place >= 0", id):
                if text is None:
                    raise ForgottenJob(f"job {id} has ended and is no longer kept")
                return _read(text, result)
            return super().get(id)

    def find(self, prefix: str) -> str | None:
        """Return the id that begins so of a job that was ever known, or None."""
        for id, in self._rows("SELECT id FROM jobs WHERE id BETWEEN ? AND ?", prefix, prefix + "g"):
            return str(id)
        return super().find(prefix)

    def forget(self, id: str) -> None:
        """Drop a finished job; raise `UnknownJob` or `ForgottenJob` where there is none."""
        with self._lock:
            self.get(id)
            if id in self._kept:
                super().forget(id)
            elif not self._write("NORMAL", _FORGET + "id = ?", (id,)):
                raise HistoryError(f"cannot write the history {self._file}")

    def track(self, status: Status, parameters: Mapping[str, Any] | None = None) -> None:
        """Write down a job that is alive, with its parameters if it has just been started."""
        sql = _SAVE if parameters is None else _BEGIN  # for it may run by now
        self._write("NORMAL", sql, (status.id, None, None, None, *_texts(status),
                                    dumps(parameters)))

    def parameters(self, id: str) -> Any:
        """Return the parameters of a job, as JSON has them, or None if they are not known."""
        for text, in self._rows("SELECT parameters FROM jobs WHERE id = ? AND length(parameters) "
                                "<= ?", id, SHOWN):
            return loads(text)
        return None

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._flush()
            self._db.close()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._file, timeout=0, check_same_thread=False)
        try:
            if db.execute("PRAGMA application_id").fetchone() != (_OURS,) and db.execute(
                    "SELECT 1 FROM sqlite_master").fetchone():
                raise sqlite3.DatabaseError("it is the database of another program")
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # a second server is to find it locked
            db.execute("PRAGMA journal_mode = WAL")  # in which a commit is one fsync, or none
            db.executescript(_SCHEMA)
            db.executescript("INSERT OR IGNORE INTO settings VALUES "
                             f"('salt', x'{self.salt.hex()}');")
        except BaseException:
            db.close()
            raise
        return db

    def _interrupt_all(self, requeue: bool) -> None:
        """End the jobs that were alive when the last server ended, but for those that wait on."""
        for status, result, parameters in self._rows(
                "SELECT status, result, parameters FROM jobs WHERE place IS NULL ORDER BY rowid"):
            job = _read(status, result)
            if requeue and job.state is State.QUEUED:
                self.requeued.setdefault((job.module, job.operation), []).append(
                    (job, loads(parameters)))
            else:
                self.interrupt(job)

    def _flush(self) -> None:
        """Write what is remembered in memory; each job by itself, for one may be too large."""
        for status in [*super().__iter__()][::-1]:
            texts = _texts(status)
            place, total = (self._rows(_NEXT) or [(1, 0)])[0]
            if self._write("FULL", _SAVE, (status.id, place, total, time.time(), *texts, None)):
                self._bytes -= self._kept.pop(status.id)[1]
                max_jobs, max_bytes, max_age = self._limits
                self._write("NORMAL", _FORGET + "(place BETWEEN 1 AND ? OR total < ? OR at < ?) "
                            "AND +place < ?",  # with the plus, each of the three has its index
                            (place - max_jobs, total + sum(map(len, texts)) - max_bytes,
                             time.time() - max_age, place))
                self._write("NORMAL", _DROP, (max_jobs + 100_000,))

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise HistoryError(f"cannot read the history {self._file}: {error}") from error

    def _write(self, synchronous: str, sql: str, row: tuple[Any, ...]) -> bool:
        """Change the file; return whether that worked."""
        with self._lock:
            try:
                if not os.path.exists(self._file) or os.stat(self._file).st_ino != self._inode:
                    logger.error("the history %s was deleted; it is written anew", self._file)
                    old, new = self._db, self._open()
                    old.backup(new)
                    old.close()
                    self._db, self._inode = new, os.stat(self._file).st_ino
                self._db.execute(f"PRAGMA synchronous = {synchronous}")
                with self._db:
                    self._db.execute(sql, row)
                self._failing = False
            except (sqlite3.Error, OSError) as error:
                if not self._failing:  # said once, not every second
                    logger.error("cannot write the history %s: %s; until that can be done, what "
                                 "ends is remembered in memory", self._file, error)
                self._failing = True
            return not self._failing


def _texts(status: Status) -> tuple[str, str]:
    return dumps(vars(status.replace(result=None))), dumps(status.result)


def _read(text: str, result: str = "null") -> Status:
    fields = loads(text)
    return Status(**{**fields, "state": State(fields["state"]), "result": loads(result)})
