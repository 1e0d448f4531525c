"""`longop.archive.tables`: files of other versions, and pages that read no more than they show."""

import sqlite3
from contextlib import closing

import pytest

from longop import LongOperation, State
from longop.archive import FileHistory, tables
from longop.dispatcher import list_jobs
from longop.errors import HistoryError
from longop.history import Wanted
from longop.operation import close_all
from longop.values.jsontext import dumps
from longop.web.api import Api

from ..waiting import WAIT
from ..web.api_operations import send
from .rows import NAMES, job

# Files of other versions


def test_a_newer_file(file):
    """A file of a newer version is refused with one line that says what to do."""
    FileHistory(file).close()
    with closing(sqlite3.connect(str(file))) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(HistoryError, match=r"in format 99, .* update longop, or give another"):
        FileHistory(file)


def test_a_file_of_before_it_had_a_version(file):
    """A file of an older version is brought up to date: its jobs are listed, what waits waits."""
    with closing(sqlite3.connect(str(file))) as db, db:
        db.executescript(
            "CREATE TABLE jobs (id TEXT PRIMARY KEY, place INTEGER, total INTEGER, at REAL,"
            " status TEXT, result TEXT, parameters TEXT, shown TEXT);"
            "CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB);"
            "INSERT INTO settings VALUES ('salt', x'00112233445566778899aabbccddeeff');"
            f"PRAGMA application_id = {0x6C6F6E67};")
        for place, id in enumerate("abd", 1):
            text = "damaged" if id == "d" else dumps(vars(job(id)))
            db.execute("INSERT INTO jobs VALUES (?, ?, 0, 5, ?, '7', NULL, NULL)",
                       (id, place, text))
        waiting = dumps(vars(job("w", state=State.QUEUED)))
        db.execute("INSERT INTO jobs VALUES ('w', NULL, NULL, NULL, ?, 'null', ?, NULL)",
                   (waiting, dumps({"data": "x" * 2_000})))
    for _ in range(2):
        with closing(FileHistory(file, requeue=True)) as history:
            assert history.salt.hex() == "00112233445566778899aabbccddeeff"
            assert [found.status.id for found in history.page(Wanted(NAMES, 10))] == ["b", "a"]
            assert history.get("a").result == 7
            ((status, parameters),) = history.requeued["m", "o"]
            assert (status.id, parameters) == ("w", {"data": "x" * 2_000})


# Pages


def test_pages(file):
    """Pages put together are the list, whatever the limit, state and ties in created_at."""
    with closing(FileHistory(file)) as history:
        for number in range(40):
            state = State.FAILED if number % 4 == 0 else State.COMPLETED
            history.add(job(number, created=f"2026-01-01T00:00:{number // 3:02}", state=state))
            history.add(job(f"x{number}").replace(operation="other"))
        operation = LongOperation(lambda callback: None, callback=False, history=history)
        operation._dispatcher.name = ("m", "o")
        expected = [str(number) for number in range(39, -1, -1)]
        for state, wanted in ((None, expected), (State.FAILED, expected[3::4])):
            for limit in (1, 2, 7, 40):
                found, before = [], None
                while True:
                    page = list_jobs([operation._dispatcher], limit, state, before)
                    if not page:
                        break
                    found += [listed.status.id for listed in page]
                    before = found[-1]
                assert found == wanted


@pytest.mark.parametrize("count", [200, 2_000])
def test_a_page_parses_its_own_rows_only(file, monkeypatch, count):
    """However long the history is, a page of ten parses ten rows, and no other one."""
    with closing(FileHistory(file)) as history:
        rows = [(str(n), n, 0, 5.0, f"2026-01-01T00:{n // 60:02}:{n % 60:02}", "m/o",
                 "failed" if n % 100 == 0 else "completed", dumps(vars(job(n))), "null")
                for n in range(1, count + 1)]
        history._db.write(*(("INSERT INTO jobs (id, place, total, at, created, name, state,"
                             " status, result) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)
                            for row in rows))
        parsed, loads = [], tables.loads
        monkeypatch.setattr(tables, "loads", lambda text: parsed.append(text) or loads(text))
        assert len(history.page(Wanted(NAMES, 10))) == 10
        assert len([text for text in parsed if text != "null"]) == 10
        plan = history._rows("EXPLAIN QUERY PLAN " + tables.LIST.format(
            tables.conditions(Wanted(NAMES, 10))[0]), "~", "~", 0, "m/o", 10)
        assert any("COVERING INDEX listed" in row[-1] for row in plan)


def test_a_list_of_many_operations_parses_each_row_once(file, monkeypatch):
    """Operations that share a file do not each read it for a list."""
    history = FileHistory(file)
    operations = [LongOperation(lambda callback, n: n, history=history, name=f"o{n}")
                  for n in range(5)]
    for n in range(20):
        operations[n % 5].start(n=n).result(WAIT)
    parsed, loads = [], tables.loads
    monkeypatch.setattr(tables, "loads", lambda text: parsed.append(text) or loads(text))
    jobs = send(Api(operations), "GET /v1/jobs")[1]["jobs"]
    assert [found["parameters"] for found in jobs] == [{"n": n} for n in range(19, -1, -1)]
    assert len([text for text in parsed if '"id"' in text]) == 20
    monkeypatch.undo()
    close_all(operations)
