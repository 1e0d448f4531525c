"""Jobs for a history, and its file as ``kill -9`` leaves it."""

import shutil
import tempfile
from pathlib import Path

from longop import State, Status

NAMES = {("m", "o")}


def job(id, result=None, state=State.COMPLETED, created="2026-01-01T00:00:00.000Z", **fields):
    return Status(id=str(id), module="m", operation="o", state=state, result=result,
                  created_at=created, **fields)


def copy(file):
    """Return a copy of the file as ``kill -9`` would leave it."""
    folder = tempfile.mkdtemp(dir=str(file.parent.parent))
    for part in file.parent.iterdir():
        shutil.copy(str(part), folder)
    return Path(folder, file.name)
