"""`longop.wings`: a wing is found by name, and a missing one is an error that names it."""

import subprocess
import sys
import types
from pathlib import Path

import pytest

import longop
from longop import LongOperation, LongOperationError, wings

ROOT = Path(__file__).parent.parent


def hide(monkeypatch, name):
    """Make it as if a wing had been deleted."""
    for loaded in [one for one in sys.modules if f"{one}.".startswith(f"longop.{name}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, f"longop.{name}", None)


def test_a_module_of_a_wing_is_found():
    """A module is found by its name below longop."""
    from longop.values import jsontext

    assert wings.find("values.jsontext") is jsontext
    assert wings.require("values.jsontext", "this test") is jsontext


def test_a_missing_wing():
    """A missing wing is None, or an error that names it and the feature."""
    assert wings.find("nowhere") is None
    assert wings.find("nowhere.at.all") is None
    assert wings.find("values.jsontext.inner") is None
    with pytest.raises(LongOperationError) as caught:
        wings.require("nowhere.inner", "flying")
    assert str(caught.value) == (
        "flying needs longop.nowhere.inner, which is not in this copy of longop")


def test_a_wing_that_lacks_something_itself(monkeypatch, tmp_path):
    """What a wing imports must be there: its own error is not taken for a missing wing."""
    (tmp_path / "broken.py").write_text("import no_such_package_at_all")
    monkeypatch.setattr(longop, "__path__", [*longop.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        wings.find("broken")


@pytest.mark.parametrize(("wing", "options", "feature"), [
    ("workers", {"executor": "process"}, 'executor="process" needs longop.workers.processes'),
    ("workers", {"executor": types.SimpleNamespace(submit=print)}, "longop.workers.remote"),
    ("archive", {"history": "jobs.sqlite3"}, "history='jobs.sqlite3' needs longop.archive")])
def test_an_option_that_needs_a_missing_wing(monkeypatch, wing, options, feature):
    """An operation that needs a missing wing cannot be made, and the error names the wing."""
    hide(monkeypatch, wing)
    with pytest.raises(LongOperationError) as caught:
        LongOperation(lambda callback: 1, **options)
    assert feature in str(caught.value)
    assert "which is not in this copy of longop" in str(caught.value)
    assert LongOperation(lambda callback: 1).start().result(10) == 1


@pytest.mark.parametrize(("wing", "names"), [
    ("web", ["Gate", "Handler", "Limits", "handler", "wsgi"]), ("archive", ["FileHistory"]),
    ("cli", ["progress"]), ("client", ["connect"])])
def test_a_name_that_needs_a_missing_wing(monkeypatch, wing, names):
    """A public name of a missing wing is an error that names the wing."""
    hide(monkeypatch, wing)
    for name in names:
        monkeypatch.delitem(vars(longop), name, raising=False)
        with pytest.raises(LongOperationError, match=rf"longop\.{name} needs longop\.{wing}"):
            getattr(longop, name)


def test_names_are_loaded_when_first_used():
    """Public names of wings are there at once to dir(), and loaded when they are used."""
    script = ("import sys, longop\n"
              "assert 'Gate' in dir(longop)\n"
              "assert 'longop.web.gate' not in sys.modules\n"
              "from longop import Gate\n"
              "assert Gate is longop.Gate is sys.modules['longop.web.gate'].Gate\n"
              "assert 'Gate' in vars(longop)\n")
    subprocess.run([sys.executable, "-c", script], cwd=str(ROOT), check=True)
