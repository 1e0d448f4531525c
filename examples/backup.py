"""Back up an sqlite3 database, whose ``progress`` callback has arguments of its own.

python3 -m longop.serve examples.backup
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import longop


def pages(status, remaining, total):
    """Turn the arguments of ``sqlite3.Connection.backup``'s callback into a report."""
    return {"step": total - remaining, "total": total, "message": f"{remaining} pages to go"}


@longop.long_operation(report=pages)
def backup(source: Path, target: Path, progress, pages_at_once: int = 100):
    """Copy a database to another file while other programs read and write it."""
    uri = source.resolve().as_uri() + "?mode=ro"  # a wrong name is an error, not a new file
    with closing(sqlite3.connect(uri, uri=True)) as old, \
            closing(sqlite3.connect(target)) as new:
        old.backup(new, pages=pages_at_once, progress=progress)
    return str(target)
