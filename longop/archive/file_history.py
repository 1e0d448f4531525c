"""Finished jobs in an sqlite3 file: they survive ``kill -9`` and a power cut.

A job's row is written when the job starts, at most once a second while it runs (less often if
it is large), and at its end. Only that last write waits for the disk, so an SD card lives long.
A job that cannot be written is kept in memory until the file accepts it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import Any, Iterator, Mapping

from ..errors import ForgottenJob, HistoryError, UnknownJob
from ..history import (NO_EXTRAS, NO_SERIES, Extras, History, HistoryBase, Listed, Wanted,
                       interrupted, to_shown)
from ..job import logger
from ..status import State, Status, version_after_restart
from ..values.jsontext import dumps
from ..values.kinds import is_upload
from . import tables
from .allowance import Allowance
from .database import Database, Statement

_MAX_LISTED = 1_000  # jobs that an iteration yields
_MAX_JOINED = 10_000  # keys that joined another job
_MAX_FORGOTTEN = 100_000  # rows of forgotten jobs, beside those of kept ones
_PAGE = 4_096  # bytes that sqlite writes at least


class FileHistory(HistoryBase):
    """Keep finished jobs in an sqlite3 file, which one server at a time uses.

    Only the file's owner may read it: it holds parameters and results.

    :param file: path of the file; created if it does not exist.
    :param max_jobs: number of jobs to keep.
    :param max_bytes: size of all kept jobs, and of the parameters of those that wait, as
        characters of JSON.
    :param max_age: seconds for which to keep a job.
    :param requeue: whether jobs that waited when the server ended wait again as soon as their
        operation exists. Otherwise they are `interrupted`, as the jobs that ran are. Give it
        from the first start on: only then are large parameters and uploads stored, and only
        then does a job begin once its beginning is on the disk, so that none runs twice.
    :param rate: bytes a second that partial results of running jobs may write, on average.
        The end of a job is always written.

    Raises `HistoryError` if the file cannot be used.
    """

    interval = 1.0
    max_listed = _MAX_LISTED

    def __init__(self, file: str | os.PathLike[str], max_jobs: int = 100_000,
                 max_bytes: int = 256 * 1024 * 1024, max_age: float = float("inf"),
                 requeue: bool = False, rate: float = 64_000) -> None:
        super().__init__()
        if not rate > 0:  # NaN is not above anything
            raise ValueError(f"rate must be above 0, not {rate}")
        self._file = os.path.abspath(file)
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._max_age = max_age
        self.gates = requeue
        self._requeues_next = requeue  # whether the next opening of the file requeues
        self._allowance = Allowance(rate, time.monotonic)
        self._unwritten = History()  # finished jobs that the file does not accept now
        self._failing = False  # whether the last write failed
        self._damaged: set[str] = set()  # ids of rows that were reported
        # Its lock guards everything above. Held while the disk works, so nothing may call this
        # history with an operation's lock held.
        self._db = Database(file, tables.FORMAT, self._take_over)
        self._open()

    def __iter__(self) -> Iterator[Status]:
        """Iterate over the 1,000 newest finished jobs, newest first, without their results."""
        with self._db.lock:
            rows = self._rows("SELECT id, at, status FROM jobs WHERE place BETWEEN 1 AND ? "
                              "ORDER BY place DESC LIMIT ?", tables.MAX_PLACE, _MAX_LISTED)
            found = [self._read(*row) for row in rows]
            return iter([*self._unwritten, *filter(None, found)])

    def page(self, wanted: Wanted) -> list[Listed]:
        """Return some of the finished jobs, newest first, without their results.

        No other row is parsed.
        """
        with self._db.lock:
            found = [Listed(status, self.parameters(status.id))
                     for status in wanted.cut(self._unwritten)]
            found += self._page_of_file(wanted)
        found.sort(key=lambda listed: listed.status.created_at, reverse=True)
        return found[:wanted.limit]

    def ready(self) -> None:
        """Open the file if this process has not; raise `HistoryError` if it cannot be used."""
        self._open()
        self._db.claim()

    def start(self, status: Status, parameters: Mapping[str, Any], waits: bool) -> None:
        """Write a job that was just started, with what is needed to start it again."""
        shown = to_shown(parameters)
        statements: list[Statement] = [(tables.START, status.id, *tables.texts(status), shown)]
        if waits:
            statements[:0] = self._waiting(status.id, parameters, shown)
        self._write(*statements)
        if waits:
            self._forget_surplus()

    def begin(self, status: Status) -> bool:
        """Write that a job begins; with ``requeue``, that is on the disk when this returns."""
        begun = tables.saved(status, *tables.texts(status))
        return self._write(begun, (tables.WAIT_NO_MORE, status.id),
                           synchronous="FULL" if self.gates else "NORMAL")

    def track(self, status: Status) -> bool:
        """Write how a running job is doing, unless too much was written of late."""
        with self._db.lock:
            if not self._allowance.is_free():
                return False
            texts = tables.texts(status)
            # Once into the log (WAL) and once into the file.
            self._allowance.spend(2 * sum(map(len, texts)) + _PAGE)
            return self._write(tables.saved(status, *texts))

    def add(self, status: Status, extras: Extras = NO_EXTRAS) -> None:
        """Remember a finished job; it is on the disk when this returns."""
        with self._db.lock:
            self._unwritten.add(status, extras)
            with contextlib.suppress(sqlite3.Error, OSError):  # which the next line logs
                self._db.claim()
            self._flush()

    def get(self, id: str) -> Status:
        """Return a finished job's last status; raise `UnknownJob` or `ForgottenJob`."""
        with self._db.lock:
            if id in self._unwritten:
                return self._unwritten.get(id)
            rows = self._rows(
                "SELECT at, status, result FROM jobs WHERE id = ? AND place >= 0", id)
        if not rows:
            raise UnknownJob(f"there is no job {id}")
        at, text, result = rows[0]
        if text is None:
            raise ForgottenJob(f"job {id} has ended and is no longer kept")
        status = self._read(id, at, text, result)
        if status is None:
            raise HistoryError(f"the row of job {id} in {self._file} is damaged")
        return status

    def find(self, prefix: str) -> str | None:
        """Return the id of a job, alive or ended, that starts with a prefix, or None."""
        after = prefix + "g"  # greater than any id that starts with the prefix: they are hex
        for id, in self._rows("SELECT id FROM jobs WHERE id BETWEEN ? AND ?", prefix, after):
            return str(id)
        return self._unwritten.find(prefix)

    def join(self, id: str, job_id: str) -> None:
        """Remember, beyond the end of the server, that an id of a key stands for a job."""
        self._write((tables.JOIN, id, job_id), (tables.DROP_JOINED, _MAX_JOINED))

    def joined(self, prefix: str) -> tuple[str, str] | None:
        """Return the id that starts with a prefix and was joined, and its job's, or None."""
        for id, job in self._rows("SELECT id, job FROM joined WHERE id BETWEEN ? AND ?",
                                  prefix, prefix + "g"):
            return id, job
        return None

    def forget(self, id: str) -> None:
        """Drop a finished job; raise `UnknownJob` or `ForgottenJob` if it is not kept."""
        with self._db.lock:
            if id in self._unwritten:
                self._unwritten.forget(id)
            else:
                self._check_kept(id)
            if not self._write((tables.FORGET_ONE, id)):
                raise HistoryError(f"cannot write the history {self._file}")

    def parameters(self, id: str) -> Any:
        """Return a job's parameters as decoded JSON, or None if they are unknown or large."""
        for text, in self._rows("SELECT shown FROM jobs WHERE id = ?", id):
            return tables.parsed(text)
        return None

    def extras(self, id: str) -> Extras:
        """Return what is kept with a finished job; nothing if the job is not known."""
        with self._db.lock:
            if id in self._unwritten:
                return self._unwritten.extras(id)
            for log, series in self._rows("SELECT log, series FROM jobs WHERE id = ?", id):
                return Extras(log or "", tables.parsed(series) or NO_SERIES)
        return NO_EXTRAS

    def close(self) -> None:
        """Write what could not be written so far, if possible, and close the file."""
        with self._db.lock:
            if not self._db.is_closed:
                self._flush()
                self._db.close()

    # When the file is opened: by the thread that makes the history, or the first to use it
    # after a fork, with the lock held

    def _open(self) -> None:
        try:
            self._db.open()
        except (sqlite3.Error, OSError, HistoryError) as error:
            hint = _hint(self._file, error)
            raise HistoryError(
                f"cannot keep the history in {self._file}: {error}{hint}") from error

    def _take_over(self) -> None:
        """Requeue or interrupt the jobs that were alive when the last server ended."""
        ((salt,),) = self._rows("SELECT value FROM settings WHERE name = 'salt'")
        self.salt = bytes(salt)
        queued: list[Statement] = []
        for id, text, result, shown, waits, parameters in self._rows(tables.LIVE):
            job = self._read(id, None, text, result)
            values = tables.parsed(shown if parameters is None else parameters)
            can_wait = waits and self._requeues_next and isinstance(values, dict)
            if job is None:
                continue
            if not can_wait or job.state is not State.QUEUED:
                self._unwritten.add(interrupted(job))
                continue
            job = job.replace(version=version_after_restart(job.version))
            queued.append(tables.saved(job, *tables.texts(job)))
            self.requeued.setdefault((job.module, job.operation), []).append((job, values))
        self._flush()
        # Before a client sees the first of these versions: none is ever given twice.
        self._write(*queued, synchronous="FULL")
        self._requeues_next = False  # after a fork, nobody would start them

    # Reading and writing, in any thread; each takes the lock

    def _page_of_file(self, wanted: Wanted) -> list[Listed]:
        conditions, values = tables.conditions(wanted)
        created, rowid = self._begin_of_page(wanted)
        found: list[Listed] = []
        while len(found) < wanted.limit:  # again only if some rows were damaged
            rows = self._rows(tables.LIST.format(conditions), created, created, rowid, *values,
                              wanted.limit - len(found))
            if not rows:
                break
            for id, at, text, shown, *_ in rows:
                status = self._read(id, at, text)
                if status is not None:
                    found.append(Listed(status, tables.parsed(shown)))
            *_, created, rowid = rows[-1]
        return found

    def _begin_of_page(self, wanted: Wanted) -> tuple[str, int]:
        """Return the `created` and the rowid that all rows of a page must be below."""
        after = wanted.after
        if after is None:
            return tables.LAST_OF_ALL, 0
        for rowid, in self._rows("SELECT rowid FROM jobs WHERE id = ? AND place > 0", after.id):
            return after.created_at, rowid
        # Those of the same moment come after one that is only in memory.
        has_ties = after.ties or after.id in self._unwritten
        return after.created_at, tables.MAX_PLACE if has_ties else 0

    def _check_kept(self, id: str) -> None:
        rows = self._rows("SELECT place FROM jobs WHERE id = ? AND place >= 0", id)
        if not rows:
            raise UnknownJob(f"there is no job {id}")
        if rows == [(0,)]:
            raise ForgottenJob(f"job {id} has ended and is no longer kept")

    def _waiting(self, id: str, parameters: Mapping[str, Any],
                 shown: str | None) -> list[Statement]:
        """Return what writes that a job waits, if it could be started again."""
        is_shown = shown is not None and not any(map(is_upload, parameters.values()))
        if is_shown:
            return [(tables.WAIT, id, 0, None)]
        if not self.gates:
            return []
        whole = dumps(parameters)
        if self._size_of_waiting() + len(whole) > self._max_bytes:
            logger.warning("job %s will not wait again after a restart: its parameters do not "
                           "fit into max_bytes of %s", id, self._file)
            return []
        return [(tables.WAIT, id, len(whole), whole)]

    def _size_of_waiting(self) -> int:
        with contextlib.suppress(HistoryError):
            ((size,),) = self._rows("SELECT ifnull(sum(size), 0) FROM waiting")
            return int(size)
        return 0

    def _flush(self) -> None:
        """Write the finished jobs that are only in memory, oldest first.

        Each is a transaction of its own, because one alone may be too large for the disk.
        """
        with self._db.lock:
            for status in reversed([*self._unwritten]):
                self._write_end(status)

    def _write_end(self, status: Status) -> None:
        """Move a finished job from memory to the file; then forget what exceeds the bounds."""
        place, total = self._last()
        extras = self._unwritten.extras(status.id)
        series = None if extras.series is NO_SERIES else dumps(extras.series)
        saved = tables.saved(status, *tables.texts(status), place + 1, total, time.time(),
                             *tables.listed(status), extras.log or None, series)
        if self._write(saved, (tables.WAIT_NO_MORE, status.id), synchronous="FULL"):
            self._unwritten.drop(status.id)
            self._forget_surplus()

    def _forget_surplus(self) -> None:
        """Forget the oldest jobs beyond the bounds, but never the newest one."""
        place, total = self._last()
        room = self._max_bytes - self._size_of_waiting()
        self._write(
            (tables.FORGET_OLD, place - self._max_jobs, total - room,
             time.time() - self._max_age, place),
            (tables.DROP_FORGOTTEN, self._max_jobs + _MAX_FORGOTTEN))

    def _last(self) -> tuple[int, int]:
        """Return the last place, and the size of all jobs up to it; zeros if there is none."""
        with contextlib.suppress(HistoryError):  # what comes next fails as well, and says why
            for place, total in self._rows(tables.LAST):
                return place, total
        return 0, 0

    def _read(self, id: str, at: float | None, text: str,
              result: str = "null") -> Status | None:
        """Return the status of a row, or None if it is damaged, which is logged once."""
        try:
            return tables.read(at, text, result)
        except (ValueError, TypeError) as error:
            if id not in self._damaged:
                logger.error("the row of job %s in %s is damaged and left out: %s", id,
                             self._file, error)
            self._damaged.add(id)
            return None

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        """Read from the file; raise `HistoryError` if that fails."""
        try:
            return self._db.rows(sql, *values)
        except (sqlite3.Error, OSError) as error:
            raise HistoryError(f"cannot read the history {self._file}: {error}") from error

    def _write(self, *statements: Statement, synchronous: str = "NORMAL") -> bool:
        """Change the file in one transaction; return whether that worked."""
        with self._db.lock:
            try:
                self._db.write(*statements, synchronous=synchronous)
            except (sqlite3.Error, OSError) as error:
                self._log_failure(error)
                return False
            self._failing = False
            return True

    def _log_failure(self, error: Exception) -> None:
        if not self._failing:  # logged once, not every second
            also = ", and no job begins" if self.gates else ""
            logger.error("cannot write the history %s: %s; until that works again, finished "
                         "jobs are kept in memory%s", self._file, error, also)
        self._failing = True


def _hint(file: str, error: Exception) -> str:
    """Return what may help with an error of opening the file."""
    if os.path.exists(file) and not os.access(file, os.W_OK):
        return ": it may not be written"
    if "locked" in str(error):
        return ": another server uses it"
    return ""
