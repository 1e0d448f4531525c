"""Finished jobs in an sqlite3 file: they survive ``kill -9`` and a power cut.

A job's row is written when the job starts, at most once a second while it runs, and at its
end. Only that last write waits for the disk, so an SD card lives long. A job that cannot be
written is kept in memory until the file accepts it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from typing import Any, Iterator, Mapping

from .errors import ForgottenJob, HistoryError
from .history import MAX_SHOWN, History, HistoryBase, to_shown
from .job import logger
from .values.jsontext import dumps, loads
from .values.kinds import is_upload
from .status import State, Status, timestamp

_APPLICATION_ID = 0x6C6F6E67  # "long"; marks a database of ours, see PRAGMA application_id
_MAX_LISTED = 1_000  # jobs that an iteration yields
_MAX_FORGOTTEN = 100_000  # rows of forgotten jobs, beside those of kept ones

# Columns of `jobs`:
#   place       rank in the order in which jobs ended, from 1. NULL: alive. 0: forgotten, and
#               everything but the id is NULL then.
#   total       size of all finished jobs before this one, in characters; NULL if alive
#   at          wall time of the end; NULL if alive
#   parameters  everything needed to start a waiting job again; NULL if unknown or not waiting
#   shown       the parameters that are shown with the job
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, place INTEGER, total INTEGER, at REAL,
    status TEXT, result TEXT, parameters TEXT, shown TEXT
);
CREATE INDEX IF NOT EXISTS places ON jobs (place);
CREATE INDEX IF NOT EXISTS totals ON jobs (total);
CREATE INDEX IF NOT EXISTS ages ON jobs (at);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value BLOB);
PRAGMA application_id = {_APPLICATION_ID};
"""
_ADD_SHOWN = f"""
ALTER TABLE jobs ADD COLUMN shown TEXT;
UPDATE jobs SET shown = parameters WHERE length(parameters) <= {MAX_SHOWN};
"""
# A job that has just been started. If it has a row already, it was queued again, or its own
# thread was faster than the one that started it: only `shown` can be new then.
_START = """
INSERT INTO jobs (id, status, result, parameters, shown) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET shown = excluded.shown WHERE place IS NOT 0
"""
# A job that runs or has ended. A late write of a running job leaves one that has ended alone.
_SAVE = """
INSERT INTO jobs (id, place, total, at, status, result) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    place = excluded.place, total = excluded.total, at = excluded.at,
    status = excluded.status, result = excluded.result, parameters = NULL
WHERE place IS NULL
"""
_NEXT_PLACE = """
SELECT place + 1, total + length(status) + length(result)
FROM jobs WHERE place > 0 ORDER BY place DESC LIMIT 1
"""
_FORGET = """
UPDATE jobs SET
    place = 0, total = NULL, at = NULL,
    status = NULL, result = NULL, parameters = NULL, shown = NULL
WHERE
"""
_FORGET_ONE = _FORGET + "id = ?"
# The plus keeps sqlite from using the index of `place` for the last condition: so each of the
# three others uses its own.
_FORGET_OLD = _FORGET + "(place BETWEEN 1 AND ? OR total < ? OR at < ?) AND +place < ?"
_DROP_FORGOTTEN = """
DELETE FROM jobs WHERE place = 0 AND rowid <= (SELECT max(rowid) FROM jobs) - ?
"""


class FileHistory(HistoryBase):
    """Keep finished jobs in an sqlite3 file, which one server at a time uses.

    :param file: path of the file; created if it does not exist.
    :param max_jobs: number of jobs to keep.
    :param max_bytes: size of all kept jobs, as characters of JSON.
    :param max_age: seconds for which to keep a job.
    :param requeue: whether jobs that waited when the server ended wait again as soon as their
        operation exists. Otherwise they are `interrupted`, as the jobs that ran are. Give it
        from the first start on: only then are large parameters and uploads stored.

    Raises `HistoryError` if the file cannot be used.
    """

    interval = 1.0

    def __init__(self, file: str | os.PathLike[str], max_jobs: int = 100_000,
                 max_bytes: int = 256 * 1024 * 1024, max_age: float = float("inf"),
                 requeue: bool = False) -> None:
        super().__init__()
        self._file = os.path.abspath(file)
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._requeue = requeue
        # Guards everything below, the connection to the database first of all. Held while the
        # disk works, so nothing may call this history with an operation's lock held.
        self._lock = threading.RLock()
        self._unwritten = History()  # finished jobs that the file does not accept now
        self._failing = False  # whether the last write failed
        try:
            self._db = self._open()
            self._inode = os.stat(self._file).st_ino
            self.salt = self._read_salt()
            self._end_live_jobs()
        except (sqlite3.Error, HistoryError) as error:
            hint = _hint(file, error)
            raise HistoryError(f"cannot keep the history in {file}: {error}{hint}") from error

    def __iter__(self) -> Iterator[Status]:
        """Iterate over the 1,000 newest finished jobs, newest first, without their results."""
        with self._lock:
            rows = self._rows("SELECT at, status FROM jobs WHERE place > 0 "
                              "ORDER BY place DESC LIMIT ?", _MAX_LISTED)
            return iter([*self._unwritten, *(_read(at, text) for at, text in rows)])

    def add(self, status: Status) -> None:
        """Remember a finished job; it is on the disk when this returns."""
        with self._lock:
            self._unwritten.add(status)
            self._flush()

    def get(self, id: str) -> Status:
        """Return a finished job's last status; raise `UnknownJob` or `ForgottenJob`."""
        with self._lock:
            rows = self._rows(
                "SELECT at, status, result FROM jobs WHERE id = ? AND place >= 0", id)
            if not rows:
                return self._unwritten.get(id)
        at, text, result = rows[0]
        if text is None:
            raise ForgottenJob(f"job {id} has ended and is no longer kept")
        return _read(at, text, result)

    def find(self, prefix: str) -> str | None:
        """Return the id of a job, alive or ended, that starts with a prefix, or None."""
        after = prefix + "g"  # greater than any id that starts with the prefix: they are hex
        for id, in self._rows("SELECT id FROM jobs WHERE id BETWEEN ? AND ?", prefix, after):
            return str(id)
        return self._unwritten.find(prefix)

    def forget(self, id: str) -> None:
        """Drop a finished job; raise `UnknownJob` or `ForgottenJob` if it is not kept."""
        with self._lock:
            self.get(id)
            if id in self._unwritten:
                self._unwritten.forget(id)
            elif not self._write(_FORGET_ONE, id):
                raise HistoryError(f"cannot write the history {self._file}")

    def track(self, status: Status, parameters: Mapping[str, Any] | None = None) -> None:
        """Write how a live job is doing, with its parameters if it was just started."""
        if parameters is None:
            self._write(_SAVE, status.id, None, None, None, *_texts(status))
            return
        shown = to_shown(parameters)
        whole: str | None = None
        if self._requeue:
            whole = dumps(parameters)
        elif not any(map(is_upload, parameters.values())):
            whole = shown
        self._write(_START, status.id, *_texts(status), whole, shown)

    def parameters(self, id: str) -> Any:
        """Return a job's parameters as decoded JSON, or None if they are unknown or large."""
        for text, in self._rows("SELECT shown FROM jobs WHERE id = ?", id):
            return None if text is None else loads(text)
        return None

    def close(self) -> None:
        """Write what could not be written so far, if possible, and close the file."""
        with self._lock:
            self._flush()
            self._db.close()

    # Opening: in the thread that makes the history, before any other thread knows it

    def _open(self) -> sqlite3.Connection:
        # check_same_thread: any thread uses it, one at a time. timeout: a file that another
        # server uses is refused at once.
        db = sqlite3.connect(self._file, timeout=0, check_same_thread=False)
        try:
            _check_owner(db)
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # a second server finds it locked
            db.execute("PRAGMA journal_mode = WAL")  # a commit is at most one fsync
            db.executescript(_SCHEMA)
            columns = [name for _, name, *_ in db.execute("PRAGMA table_info (jobs)")]
            if "shown" not in columns:  # a file of an older version
                db.executescript(_ADD_SHOWN)
            db.executescript(  # which a file that has a salt ignores
                f"INSERT OR IGNORE INTO settings VALUES ('salt', x'{self.salt.hex()}')")
        except BaseException:
            db.close()
            raise
        return db

    def _read_salt(self) -> bytes:
        ((salt,),) = self._rows("SELECT value FROM settings WHERE name = 'salt'")
        return bytes(salt)

    def _end_live_jobs(self) -> None:
        """Requeue or interrupt the jobs that were alive when the last server ended."""
        for status, result, parameters in self._rows(
                "SELECT status, result, parameters FROM jobs "
                "WHERE place IS NULL ORDER BY rowid"):
            job = _read(None, status, result)
            if self._requeue and job.state is State.QUEUED and parameters is not None:
                waiting = self.requeued.setdefault((job.module, job.operation), [])
                waiting.append((job, loads(parameters)))
            else:
                self.interrupt(job)

    # Reading and writing, in any thread; each takes the lock

    def _flush(self) -> None:
        """Write the finished jobs that are only in memory, oldest first.

        Each is a transaction of its own, because one alone may be too large for the disk.
        """
        with self._lock:
            for status in reversed([*self._unwritten]):
                self._write_end(status)

    def _write_end(self, status: Status) -> None:
        """Move a finished job from memory to the file; then forget what exceeds the bounds."""
        texts = _texts(status)
        place, total = (self._rows(_NEXT_PLACE) or [(1, 0)])[0]
        now = time.time()
        if not self._write(_SAVE, status.id, place, total, now, *texts, synchronous="FULL"):
            return
        self._unwritten.drop(status.id)
        total += sum(map(len, texts))
        self._write(_FORGET_OLD, place - self._max_jobs, total - self._max_bytes,
                    now - self._max_age, place)
        self._write(_DROP_FORGOTTEN, self._max_jobs + _MAX_FORGOTTEN)

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        """Read from the file; raise `HistoryError` if that fails."""
        with self._lock:
            try:
                return self._db.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise HistoryError(f"cannot read the history {self._file}: {error}") from error

    def _write(self, sql: str, *values: Any, synchronous: str = "NORMAL") -> bool:
        """Change the file in one transaction; return whether that worked.

        With ``synchronous="FULL"`` the change is on the disk when this returns; otherwise a
        power cut may undo it (https://sqlite.org/pragma.html#pragma_synchronous).
        """
        with self._lock:
            try:
                self._reopen_if_deleted()
                self._db.execute(f"PRAGMA synchronous = {synchronous}")
                with self._db:
                    self._db.execute(sql, values)
            except (sqlite3.Error, OSError) as error:
                self._log_failure(error)
                return False
            self._failing = False
            return True

    def _reopen_if_deleted(self) -> None:
        """Create the file again if it was deleted: the open connection still has it all."""
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self._file).st_ino == self._inode:
                return
        logger.error("the history %s was deleted and is written again", self._file)
        new = self._open()
        self._db.backup(new)
        self._db.close()
        self._db = new
        self._inode = os.stat(self._file).st_ino

    def _log_failure(self, error: Exception) -> None:
        if not self._failing:  # logged once, not every second
            logger.error("cannot write the history %s: %s; until that works again, finished "
                         "jobs are kept in memory", self._file, error)
        self._failing = True


def _check_owner(db: sqlite3.Connection) -> None:
    """Raise ``DatabaseError`` if a database belongs to another program."""
    application_id, = db.execute("PRAGMA application_id").fetchone()
    is_new = db.execute("SELECT 1 FROM sqlite_master").fetchone() is None
    if application_id != _APPLICATION_ID and not is_new:
        raise sqlite3.DatabaseError("it is the database of another program")


def _hint(file: str | os.PathLike[str], error: Exception) -> str:
    """Return what may help with an error of opening the file."""
    if os.path.exists(file) and not os.access(file, os.W_OK):
        return ": it may not be written"
    if "locked" in str(error):
        return ": another server uses it"
    return ""


def _texts(status: Status) -> tuple[str, str]:
    """Return a status without its result, and the result, as JSON."""
    return dumps(vars(status.replace(result=None))), dumps(status.result)


def _read(at: float | None, text: str, result: str = "null") -> Status:
    """Return the status of a row, which has ended at this wall time if it has ended."""
    fields = loads(text)
    if at is not None and fields["state"] == "interrupted" and fields["finished_at"] is None:
        fields["finished_at"] = timestamp(at)
    fields["state"] = State(fields["state"])
    fields["result"] = loads(result)
    return Status(**fields)
