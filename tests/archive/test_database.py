"""`longop.archive.database`: one process at a time, a format, no cursor left open, forks."""

import gc
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest

from longop.archive import database
from longop.archive.database import Database, Format, run

ID = 0x6C6F6E67


def prepare(db):
    run(db, "CREATE TABLE IF NOT EXISTS things (name TEXT)")


def opened(file, version=1, told=None, prepare=prepare):
    made = Database(file, Format(ID, version, prepare), lambda: told is None or told.append(1))
    made.open()
    return made


@pytest.fixture
def file(tmp_path):
    return tmp_path / "things.sqlite3"


def put(db, name):
    db.claim()
    db.write(("INSERT INTO things VALUES (?)", name))


def names(db):
    return [name for name, in db.rows("SELECT name FROM things ORDER BY name")]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="files have other permissions there")
def test_private_from_the_first_moment(file, monkeypatch):
    """The file and those beside it are their owner's only, as soon as there is one of them."""
    connect, seen = sqlite3.connect, []

    def look(path, **options):
        seen.extend(mode(part) for part in file.parent.iterdir())
        return connect(path, **options)

    monkeypatch.setattr(sqlite3, "connect", look)
    old = os.umask(0)
    try:
        with closing(opened(file)) as db:
            put(db, "a")
            seen += [mode(part) for part in file.parent.iterdir()]
            assert len(seen) > 2
            assert set(seen) == {0o600}
            file.unlink()
            put(db, "b")
            assert mode(file) == 0o600
    finally:
        os.umask(old)


@pytest.mark.skipif(os.name == "nt", reason="files have other permissions there")
def test_old_file_becomes_private(file):
    """A file of an older format becomes private once; later its mode is its owner's affair."""
    opened(file).close()
    file.chmod(0o644)
    opened(file).close()
    assert mode(file) == 0o644
    opened(file, version=2).close()
    assert mode(file) == 0o600


def test_older_format_is_brought_up_to_date(file):
    """An older file is prepared, wholly or not at all; a newer one is refused, and left alone."""
    with closing(opened(file)) as db:
        put(db, "a")

    def fail(db):
        run(db, "DELETE FROM things")
        raise sqlite3.OperationalError("disk full")

    with pytest.raises(sqlite3.OperationalError, match="disk full"):
        opened(file, version=2, prepare=fail)
    with closing(opened(file)) as db:
        assert names(db) == ["a"]
    opened(file, version=7).close()
    before = file.read_bytes()
    with pytest.raises(sqlite3.DatabaseError, match=r"format 7.*up to 1: update longop, or give"):
        opened(file)
    assert file.read_bytes() == before


def test_a_lock_that_is_still_held_is_waited_for(file, monkeypatch):
    """A file whose last user has just ended is tried again; one that stays in use is refused."""
    first = opened(file)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            first.close()

    monkeypatch.setattr(database.time, "sleep", pause)
    with closing(opened(file)):
        assert len(pauses) == 3
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            opened(file)
    assert sum(pauses[3:]) < 1


def test_no_cursor_is_left_open(file, monkeypatch):
    """Each cursor is closed where its use ends, without the garbage collector."""
    open_cursors = []

    class Cursor(sqlite3.Cursor):
        def close(self):
            open_cursors.remove(id(self))
            super().close()

    class Connection(sqlite3.Connection):
        def cursor(self):
            cursor = Cursor(self)
            open_cursors.append(id(cursor))
            kept.append(cursor)
            return cursor

    kept, connect = [], sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, **more: connect(path, factory=Connection, **more))
    gc.disable()
    try:
        with closing(opened(file)) as db:
            put(db, "a")
            assert names(db) == ["a"]
            with pytest.raises(sqlite3.IntegrityError):
                db.write(("CREATE UNIQUE INDEX one ON things (name)",),
                         ("INSERT INTO things VALUES ('a')",))
        assert open_cursors == []
        assert len(kept) > 10
        opened(file).close()
    finally:
        gc.enable()


def test_full_fsync(file):
    """On a Mac a commit that waits for the disk waits for the disk's own cache, too."""
    with closing(opened(file)) as db:
        assert db.rows("PRAGMA fullfsync") == db.rows("PRAGMA checkpoint_fullfsync") == [(1,)]


def test_foreign_bytes(file):
    """A text that is no UTF-8 is read with marks in it, and keeps no other row from being read."""
    with closing(opened(file)) as db:
        put(db, "a")
        db.write(("INSERT INTO things VALUES (CAST(x'ff41' AS TEXT))",))
        assert names(db) == ["a", "\ufffdA"]


def test_closed(file):
    """What is closed is closed for good, and again without harm."""
    db = opened(file)
    db.close()
    db.close()
    with pytest.raises(sqlite3.ProgrammingError, match="it is closed"):
        db.rows("SELECT 1")


SCRIPT = """
import os, sqlite3, sys
from tests.archive.test_database import Database, names, opened, put

told = []
db = opened(sys.argv[1], told=told)
used = sys.argv[2] == "used"
if used:
    put(db, "parent")
read, write = os.pipe()
child = os.fork()
if not child:
    os.read(read, 1)
    try:
        put(db, "child")
        print("child", names(db), len(told), flush=True)
    except sqlite3.Error as error:
        print("child", error, flush=True)
    sys.exit()  # with all that the interpreter does at its end
if used:
    put(db, "again")
os.write(write, b"x")
os.waitpid(child, 0)
put(db, "end")
print("parent", names(db), len(told))
db.close()
"""


def forked(file, how):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(file), how], text=True, timeout=20,
                          capture_output=True)
    assert done.stderr == ""
    with closing(opened(file)) as db:
        return done.stdout.splitlines(), names(db)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork_of_one_that_is_not_in_use(file):
    """A process that was forked from one that only opened the file can use it, and takes over."""
    said, kept = forked(file, "unused")
    assert said == ["child ['child'] 2", "parent ['child', 'end'] 2"]
    assert kept == ["child", "end"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork_of_one_that_is_in_use(file):
    """The parent goes on with the file; its fork is told why it cannot have it."""
    said, kept = forked(file, "used")
    assert said[0].startswith("child this process was forked from one that uses it")
    assert said[1:] == ["parent ['again', 'end', 'parent'] 1"]
    assert kept == ["again", "end", "parent"]
