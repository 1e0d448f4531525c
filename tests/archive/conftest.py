import pytest


@pytest.fixture
def file(tmp_path):
    """A file for a history, alone in its folder."""
    folder = tmp_path / "kept"
    folder.mkdir()
    return folder / "history.sqlite3"
