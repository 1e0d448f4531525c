"""The tables of the file of a history, and what is written to them and read from them.

Knows nothing of when that happens.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any

from ..history import MAX_SHOWN, Wanted
from ..status import State, Status, timestamp
from ..values.jsontext import dumps, loads
from .database import Format, Statement, run

_APPLICATION_ID = 0x6C6F6E67  # "long"
_VERSION = 1  # of the tables; files from before they had a version have 0
LAST_OF_ALL = "~"  # greater than any `created_at`
MAX_PLACE = 2 ** 62  # in sqlite any text is greater than any number: this keeps it out

# Columns of `jobs`:
#   place       rank in the order in which jobs ended, from 1. NULL: alive. 0: forgotten, and
#               everything but the id is NULL then.
#   total       size of all finished jobs before this one, in characters; NULL if alive
#   at          wall time of the end; NULL if alive
#   shown       the parameters that are shown with the job
#   created, name, state   of a finished job, to list it: its `created_at`, its module and
#               operation with a slash between, its state; NULL if it is alive or forgotten
#   log, series of a finished job: see `history.Extras`
# In `waiting` is a row for each job that waits and can be started again:
#   parameters  all of them; NULL if these are the ones in `shown`
#   size        of the former, in characters
# In `joined` is a row for each key of `start_once` that joined another job: the id that its own
# job would have had, and that job's.
_TABLES = (
    """CREATE TABLE IF NOT EXISTS jobs (
        id TEXT PRIMARY KEY, place INTEGER, total INTEGER, at REAL,
        created TEXT, name TEXT, state TEXT, status TEXT, shown TEXT, log TEXT, series TEXT,
        result TEXT)""",
    """CREATE TABLE IF NOT EXISTS waiting (
        id TEXT PRIMARY KEY, size INTEGER, parameters TEXT)""",
    "CREATE TABLE IF NOT EXISTS joined (id TEXT PRIMARY KEY, job TEXT)",
    "CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value BLOB)",
)
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS places ON jobs (place)",
    "CREATE INDEX IF NOT EXISTS totals ON jobs (total)",
    "CREATE INDEX IF NOT EXISTS ages ON jobs (at)",
    # Has all that a page is chosen by, so that the rows of other jobs are not read.
    "CREATE INDEX IF NOT EXISTS listed ON jobs (created, name, state) WHERE created NOT NULL",
)
# A job that has just been started. If it has a row already, it was queued again, or its own
# thread was faster than the one that started it: only `shown` can be new then.
START = """
INSERT INTO jobs (id, status, result, shown) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET shown = excluded.shown WHERE place IS NOT 0
"""
# Comes before `START`: a job that has a row has begun already.
WAIT = """
INSERT OR IGNORE INTO waiting (id, size, parameters)
SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = ?1)
"""
WAIT_NO_MORE = "DELETE FROM waiting WHERE id = ?"
# A job that runs or has ended. A late write of a running job leaves one that has ended alone.
_SAVE = """
INSERT INTO jobs (id, status, result, place, total, at, created, name, state, log, series)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status, result = excluded.result,
    place = excluded.place, total = excluded.total, at = excluded.at,
    created = excluded.created, name = excluded.name, state = excluded.state,
    log = excluded.log, series = excluded.series
WHERE place IS NULL
"""
_ALIVE = (None,) * 8  # the last values of `_SAVE` for a live job
LAST = f"""
SELECT place, ifnull(total, 0) + ifnull(length(status), 0) + ifnull(length(result), 0)
              + ifnull(length(shown), 0) + ifnull(length(log), 0) + ifnull(length(series), 0)
FROM jobs WHERE place BETWEEN 1 AND {MAX_PLACE} ORDER BY place DESC LIMIT 1
"""
_FORGET = """
UPDATE jobs SET
    place = 0, total = NULL, at = NULL, created = NULL, name = NULL, state = NULL,
    status = NULL, result = NULL, shown = NULL, log = NULL, series = NULL
WHERE
"""
FORGET_ONE = _FORGET + "id = ?"
# The plus keeps sqlite from using the index of `place` for the last condition: so each of the
# three others uses its own.
FORGET_OLD = _FORGET + "(place BETWEEN 1 AND ? OR total < ? OR at < ?) AND +place < ?"
DROP_FORGOTTEN = """
DELETE FROM jobs WHERE place = 0 AND rowid <= (SELECT max(rowid) FROM jobs) - ?
"""
JOIN = "INSERT OR REPLACE INTO joined (id, job) VALUES (?, ?)"
DROP_JOINED = "DELETE FROM joined WHERE rowid <= (SELECT max(rowid) FROM joined) - ?"
# The inner query needs nothing but the index `listed`.
LIST = """
SELECT id, at, status, shown, created, rowid FROM jobs
WHERE rowid IN (SELECT rowid FROM jobs WHERE {} ORDER BY created DESC, rowid DESC LIMIT ?)
ORDER BY created DESC, rowid DESC
"""
LIVE = """
SELECT jobs.id, status, result, shown, waiting.id IS NOT NULL, waiting.parameters
FROM jobs LEFT JOIN waiting ON jobs.id = waiting.id
WHERE place IS NULL ORDER BY jobs.rowid
"""


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables of a new file, and bring those of an older one up to date."""
    for statement in _TABLES:
        run(db, statement)
    columns = [name for _, name, *_ in run(db, "PRAGMA table_info (jobs)")]
    if "created" not in columns:
        _add_columns(db, columns)
    for statement in _INDEXES:
        run(db, statement)
    run(db, "INSERT OR IGNORE INTO settings VALUES ('salt', ?)", os.urandom(16))


def _add_columns(db: sqlite3.Connection, columns: list[str]) -> None:
    """Add the columns that a file from before format 1 has not, and fill them."""
    if "shown" not in columns:
        run(db, "ALTER TABLE jobs ADD COLUMN shown TEXT")
        run(db, "UPDATE jobs SET shown = parameters WHERE length(parameters) <= ?", MAX_SHOWN)
    for column in ("created", "name", "state", "log", "series"):
        run(db, f"ALTER TABLE jobs ADD COLUMN {column} TEXT")
    run(db, "INSERT INTO waiting SELECT id, length(parameters), parameters FROM jobs "
            "WHERE place IS NULL AND parameters NOT NULL")
    run(db, "UPDATE jobs SET parameters = NULL WHERE parameters NOT NULL")
    for (rowid,) in run(db, "SELECT rowid FROM jobs WHERE place > 0"):
        ((text,),) = run(db, "SELECT status FROM jobs WHERE rowid = ?", rowid)
        with contextlib.suppress(ValueError, TypeError):  # a damaged row is not listed
            status = read(None, text)
            run(db, "UPDATE jobs SET created = ?, name = ?, state = ? WHERE rowid = ?",
                *listed(status), rowid)


FORMAT = Format(_APPLICATION_ID, _VERSION, _prepare)


def conditions(wanted: Wanted) -> tuple[str, list[str]]:
    """Return the conditions of `LIST`, and the values of all but the first three of them."""
    values = [f"{module}/{operation}" for module, operation in wanted.names]
    marks = ", ".join("?" * len(values))
    text = f"created <= ? AND (created < ? OR rowid < ?) AND name IN ({marks})"
    if wanted.state is not None:
        text += " AND state = ?"
        values.append(wanted.state.value)
    return text, values


def listed(status: Status) -> tuple[str, str, str]:
    """Return the columns by which a finished job is listed."""
    return status.created_at, f"{status.module}/{status.operation}", status.state.value


def saved(status: Status, text: str, result: str, *end: Any) -> Statement:
    """Return what writes a job that runs, or one that has ended, with the values of its end."""
    return (_SAVE, status.id, text, result, *(end or _ALIVE))


def texts(status: Status) -> tuple[str, str]:
    """Return a status without its result, and the result, as JSON."""
    return dumps(vars(status.replace(result=None))), dumps(status.result)


def read(at: float | None, text: str, result: str = "null") -> Status:
    """Return the status of a row, which has ended at this wall time if it has ended.

    Raises ``ValueError`` or ``TypeError`` if it is damaged.
    """
    status = Status.of(loads(text)).replace(result=loads(result))
    if at is not None and status.state is State.INTERRUPTED and status.finished_at is None:
        return status.replace(finished_at=timestamp(at))
    return status


def parsed(text: str | None) -> Any:
    """Return the value of a JSON text, or None if there is none or it is damaged."""
    with contextlib.suppress(ValueError, TypeError):
        return None if text is None else loads(text)
    return None
