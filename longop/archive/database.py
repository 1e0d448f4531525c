"""An sqlite3 file that one process at a time uses: private, of a known format, safe in a fork.

Knows nothing of what is in it: that is its `Format`'s.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from contextlib import closing
from typing import Any, Callable, Iterator, NamedTuple, Tuple

logger = logging.getLogger("longop")

#: An SQL statement and its values.
Statement = Tuple[Any, ...]

# A process that has just ended may hold its lock a moment longer; 0.5 seconds in all.
_TRIES = 10
_PAUSE = 0.05

_PRAGMAS = (
    "PRAGMA locking_mode = EXCLUSIVE",  # a second server finds it locked
    "PRAGMA journal_mode = WAL",  # a commit is at most one fsync
    # Where sqlite is built to overwrite what is deleted, an upload would be written once more.
    "PRAGMA secure_delete = 0",
    # On a Mac, fsync leaves the data in the disk's own cache; elsewhere this does nothing.
    "PRAGMA fullfsync = 1",
    "PRAGMA checkpoint_fullfsync = 1",
)


class Format(NamedTuple):
    """What a file must be.

    :param application_id: marks a file as ours (``PRAGMA application_id``).
    :param version: of the tables (``PRAGMA user_version``).
    :param prepare: makes the tables in a new file, and brings those of an older one up to date.
        Called in a transaction, which it must not end.
    """

    application_id: int
    version: int
    prepare: Callable[[sqlite3.Connection], None]


class Database:
    """An open sqlite3 file, for any thread. Methods raise ``sqlite3.Error`` or ``OSError``.

    A connection must not survive a fork (https://sqlite.org/howtocorrupt.html), so it is closed
    before one. Afterwards it is opened again: by the process that had it ``in_use``, else by
    the first that needs it, as after gunicorn's ``--preload``.

    :param opened: called with the lock held each time that the file was opened by a process
        that had not had it in use.
    """

    def __init__(self, file: str | os.PathLike[str], format: Format,
                 opened: Callable[[], None]) -> None:
        self.file = os.path.abspath(file)
        self._format = format
        self._opened = opened
        #: Guards the connection, and whatever its user guards with it. Held while the disk
        #: works. A thread may take it twice.
        self.lock = threading.RLock()
        #: Whether this process has put something into the file that only it can go on with.
        self.in_use = False
        self.is_closed = False
        self._is_copy = False  # forked from the process that has it in use
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        with _registry:
            _databases.add(self)

    def open(self) -> sqlite3.Connection:
        """Open the file if this process has not done so; return the connection."""
        db = self._db
        return self._open_once() if db is None else db

    def claim(self) -> None:
        """Open the file, and have it in use from now on."""
        self.open()  # first: it tells whether another process had it in use before
        self.in_use = True

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Return the rows of a query."""
        with self.lock:
            return run(self.open(), sql, *values)

    def write(self, *statements: Statement, synchronous: str = "NORMAL") -> None:
        """Change the file in one transaction.

        With ``synchronous="FULL"`` the change is on the disk when this returns; otherwise a
        power cut may undo it (https://sqlite.org/pragma.html#pragma_synchronous).
        """
        with self.lock:
            self.open()
            db = self._reopen_if_deleted()
            run(db, f"PRAGMA synchronous = {synchronous}")
            with db:
                for sql, *values in statements:
                    run(db, sql, *values)

    def close(self) -> None:
        """Close the file for good; do nothing if it is closed."""
        with self.lock:
            self.is_closed = True
            self._release()

    # Around a fork: see the functions below

    def before_fork(self) -> None:
        """Close the connection, and let nobody open it until the fork is over."""
        self.lock.acquire()
        with contextlib.suppress(sqlite3.Error):  # nothing can be done, and the fork comes
            self._release()

    def after_fork_in_parent(self) -> None:
        """Go on with the file at once if this process has it in use."""
        try:
            if self.in_use:
                self.open()
        except (sqlite3.Error, OSError) as error:  # the next use tries again
            logger.error("cannot open %s again after a fork: %s", self.file, error)
        finally:
            self.lock.release()

    def after_fork_in_child(self) -> None:
        """Start with no connection, and leave the file alone if the parent has it in use."""
        self.lock = threading.RLock()
        self._is_copy = self._is_copy or self.in_use
        self.in_use = False

    # With the lock held

    def _release(self) -> None:
        db = self._db
        self._db = None
        if db is not None:
            db.close()

    def _open_once(self) -> sqlite3.Connection:
        with self.lock:
            if self._db is not None:
                return self._db
            if self.is_closed:
                raise sqlite3.ProgrammingError("it is closed")
            if self._is_copy:
                raise sqlite3.OperationalError(
                    "this process was forked from one that uses it: make the history here, "
                    "with a file of its own")
            db = self._connect_patiently()
            self._keep(db)
            if not self.in_use:
                self._tell_opened()
            return db

    def _tell_opened(self) -> None:
        try:
            self._opened()
        except BaseException:
            self._release()
            raise

    def _keep(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._inode = 0
        with contextlib.suppress(OSError):  # deleted already: the next write sees that
            self._inode = os.stat(self.file).st_ino

    def _reopen_if_deleted(self) -> sqlite3.Connection:
        """Create the file again if it was deleted: the open connection still has it all."""
        old = self.open()
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self.file).st_ino == self._inode:
                return old
        logger.error("%s was deleted and is written again", self.file)
        new = self._connect_patiently()
        old.backup(new)
        old.close()
        self._keep(new)
        return new

    def _connect_patiently(self) -> sqlite3.Connection:
        for _ in range(_TRIES - 1):
            try:
                return self._connect()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
            time.sleep(_PAUSE)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        _create_private(self.file)
        # check_same_thread: any thread uses it, one at a time.
        db = sqlite3.connect(self.file, timeout=0, check_same_thread=False)
        try:
            db.text_factory = _decode
            is_older = self._check(db)
            if is_older:
                _make_private(self.file)
            for pragma in _PRAGMAS:
                run(db, pragma)
            self._prepare(db, is_older)
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, db: sqlite3.Connection) -> bool:
        """Return whether a file is new or of an older format; raise if it is not for us."""
        ((application_id,),) = run(db, "PRAGMA application_id")
        ((version,),) = run(db, "PRAGMA user_version")
        is_new = not run(db, "SELECT 1 FROM sqlite_master LIMIT 1")
        if application_id != self._format.application_id and not is_new:
            raise sqlite3.DatabaseError("it is the database of another program")
        if version > self._format.version:
            raise sqlite3.DatabaseError(
                f"a newer longop wrote it, in format {version}, and this one reads formats up to "
                f"{self._format.version}: update longop, or give another file")
        return is_new or bool(version < self._format.version)

    def _prepare(self, db: sqlite3.Connection, is_older: bool) -> None:
        """Bring the tables up to date, wholly or not at all.

        Something is written in any case: that takes the lock, or finds that it is taken, or that
        the file may not be written.
        """
        run(db, "BEGIN IMMEDIATE")
        with db:
            if is_older:
                self._format.prepare(db)
            run(db, f"PRAGMA application_id = {self._format.application_id}")
            run(db, f"PRAGMA user_version = {self._format.version}")


def run(db: sqlite3.Connection, sql: str, *values: Any) -> list[Any]:
    """Execute one statement; return its rows, and leave no cursor open.

    A cursor that is left to the garbage collector keeps the file locked on PyPy.
    """
    with closing(db.cursor()) as cursor:  # made here, so that it is closed if this fails, too
        cursor.execute(sql, values)
        return cursor.fetchall()


def _decode(data: bytes) -> str:
    """Return a text of the file, whatever a foreign hand has written: JSON tells what is wrong."""
    return data.decode("utf-8", "replace")


def _create_private(file: str) -> None:
    """Create a file that only its owner may read, unless there is one.

    What sqlite puts beside it gets the same mode. An existing file is not opened here: closing
    it would drop the locks that this process may have on it (POSIX).
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
    with contextlib.suppress(OSError):  # it exists; or sqlite says why it cannot
        os.close(os.open(os.path.realpath(file), flags, 0o600))


def _make_private(file: str) -> None:
    """Let only the owner read a file that an older version made."""
    for path in (file, f"{file}-wal", f"{file}-shm"):
        with contextlib.suppress(OSError):
            os.chmod(path, 0o600)


# A fork. Handlers cannot be taken back, so there is one of each for all databases.

_databases: weakref.WeakSet[Database] = weakref.WeakSet()
# Guards the set. Held during a fork, so that no database is made meanwhile.
_registry = threading.Lock()
_forking: list[Database] = []  # those there are during a fork


def _before_fork() -> None:
    _registry.acquire()
    _forking.extend(_databases)
    for database in _forking:
        database.before_fork()


def _after_fork_in_parent() -> None:
    for database in _take_forking():
        database.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for database in _take_forking():
        database.after_fork_in_child()


def _take_forking() -> Iterator[Database]:
    """Yield the databases of this fork; then let others be made."""
    yield from _forking
    _forking.clear()
    _registry.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent,
                        after_in_child=_after_fork_in_child)
