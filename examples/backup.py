"""Back up an sqlite3 database. Its ``progress`` callback has a shape of its own: see ``report``.

python3 -m longop.serve examples.backup
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import longop


def pages(status, remaining, total):
    """Say what ``sqlite3.Connection.backup`` reports in longop's words."""
    return {"step": total - remaining, "total": total, "message": f"{remaining} pages to go"}


@longop.long_operation(report=pages)
def backup(source: Path, target: Path, progress, pages_at_once: int = 100):
    """Copy a database into another file, while others read and write it."""
    uri = source.resolve().as_uri() + "?mode=ro"  # so that a wrong name is an error
    with closing(sqlite3.connect(uri, uri=True)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new, pages=pages_at_once, progress=progress)
    return str(target)
