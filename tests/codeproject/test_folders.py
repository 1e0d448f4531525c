"""`longop.codeproject.folders`: where the files of a module are."""

import os
import sys

import pytest

from longop import TargetError
from longop.codeproject import folders


def test_the_folder_of_a_module(tmp_path):
    """A file belongs to the nearest module at or above it; without one, to its own folder."""
    below = tmp_path / "module" / "layer" / "deep"
    below.mkdir(parents=True)
    file = str(below / "adapter.py")
    assert folders.module_folder(file) == str(below)
    (tmp_path / "modulesettings.json").write_text("{}")
    assert folders.module_folder(file) == str(tmp_path)
    (tmp_path / "module" / "modulesettings.json").write_text("{}")
    assert folders.module_folder(file) == str(tmp_path / "module")
    assert folders.has_settings(str(tmp_path))
    assert not folders.has_settings(str(below))


def test_a_folder_that_is_missing(tmp_path):
    """A module whose folder cannot be entered is refused with the folder's name."""
    folders.enter(str(tmp_path))
    assert os.getcwd() == str(tmp_path)
    with pytest.raises(TargetError, match=r"its folder, .*nowhere, which cannot be entered"):
        folders.enter(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(("folder", "root"), [
    ("/x/CodeProject.AI-Server/src/modules/M", "/x/CodeProject.AI-Server"),
    ("/x/codeproject.ai-server/modules/M", "/x/codeproject.ai-server"),
    ("/x/CodeProject.AI-Modules/M", "/x/CodeProject.AI-Server"),
    ("/x/y/M", None), ("/M", None)])
def test_the_server_around_a_module(folder, root):
    """The server's root is found by the names of the folders, as the SDK finds it."""
    assert folders.find_server_root(folder) == (root and os.path.abspath(root))


def test_the_folder_for_data(tmp_path, monkeypatch):
    """Data is kept where that server keeps it, if that can be written; else with the user's."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setitem(folders._DATA_FOLDERS, "darwin", str(tmp_path))
    assert folders.data_folder() == str(tmp_path)
    monkeypatch.setitem(folders._DATA_FOLDERS, "darwin", str(tmp_path / "nowhere"))
    monkeypatch.setattr(folders, "_OWN_DATA_FOLDER", str(tmp_path / "own"))
    assert folders.data_folder() == str(tmp_path / "own")
    assert (tmp_path / "own").is_dir()


def test_a_folder_for_data_that_cannot_be_made(tmp_path, monkeypatch):
    """If the folder cannot be made, a module may still start, and see to it itself."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(folders, "_DATA_FOLDER", str(tmp_path / "nowhere"))
    monkeypatch.setattr(folders, "_OWN_DATA_FOLDER", str(tmp_path / "file" / "own"))
    assert folders.data_folder() == str(tmp_path / "file" / "own")
