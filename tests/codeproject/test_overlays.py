"""`longop.codeproject.overlays`: the settings for one kind of machine, beside the others."""

import json

import pytest

from longop import TargetError
from longop.codeproject import machine
from longop.codeproject.settings import read

BASE = {"Modules": {"Mod": {
    "LaunchSettings": {"FilePath": "a.py", "Parallelism": 2},
    "GpuOptions": {"InstallGPU": True},
    "EnvironmentVariables": {"SIZE": "Medium", "USE_CUDA": "True"},
    "RouteMaps": [{"Route": "mod/one", "Command": "one"}, {"Route": "mod/two", "Command": "two"}]}}}


@pytest.fixture
def reads(tmp_path):
    """Return a function that reads the settings, and what stands beside them for some kinds."""
    def reads(base=BASE, **overlays):
        (tmp_path / "modulesettings.json").write_text(json.dumps(base))
        for kind, value in overlays.items():
            text = value if isinstance(value, str) else json.dumps(value)
            (tmp_path / f"modulesettings.{kind.replace('_', '.')}.json").write_text(text)
        return read(str(tmp_path))

    return reads


def variables(**found):
    return {"Modules": {"Mod": {"EnvironmentVariables": found}}}


def test_order(reads, a_pi):
    """The more special a file is, the later it is read; those of other machines are not."""
    found = reads(
        linux=variables(SIZE="Small", A="linux", B="linux", C="linux"),
        linux_arm64=variables(A="arm64", B="arm64"),
        raspberrypi=variables(B="pi"),
        windows=variables(SIZE="Large"), linux_x64=variables(SIZE="Large"),
        orangepi=variables(SIZE="Large"), development=variables(SIZE="Large"))
    assert found.environment == {"SIZE": "Small", "USE_CUDA": "True", "A": "arm64", "B": "pi",
                                 "C": "linux", "CPAI_MODULE_PARALLELISM": "2"}


def test_nothing_is_deleted(reads, a_pi):
    """What a file does not name stays, in objects and in lists, whatever is empty there."""
    found = reads(linux={"modules": {"MOD": {
        "launchsettings": {"PARALLELISM": 3}, "GpuOptions": {"InstallGPU": False},
        "RouteMaps": [{}, {"Command": "second"}, {"Route": "mod/three"}],
        "EnvironmentVariables": {}}, "Other": {"Name": "no module of this file"}}})
    assert found.id == found.name == "Mod"
    assert found.entry == "a.py"
    assert [(one.path, one.command) for one in found.routes] == [
        ("mod/one", "one"), ("mod/two", "second"), ("mod/three", "")]
    assert found.environment == {"SIZE": "Medium", "USE_CUDA": "True",
                                 "CPAI_MODULE_PARALLELISM": "3", "CPAI_MODULE_ENABLE_GPU": "False"}


def test_a_value_in_place_of_an_object(reads, a_pi):
    """A text or a number where an object or a list stands overwrites nothing."""
    found = reads(linux={"Modules": {"Mod": {"EnvironmentVariables": "x", "RouteMaps": None}}})
    assert found.environment["SIZE"] == "Medium"
    assert len(found.routes) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "\"Modules\"", "{\"a\": NaN}"])
def test_a_file_that_cannot_be_read(reads, a_pi, text, caplog):
    """It is left out, with one warning, which names it."""
    for _ in range(2):
        found = reads(linux=text, raspberrypi=variables(SIZE="Tiny"))
        assert found.environment["SIZE"] == "Tiny"
    (record,) = caplog.records
    assert "modulesettings.linux.json is left out: " in record.getMessage()


def test_two_that_are_too_deep_together(reads, a_pi, monkeypatch, caplog):
    """What cannot be merged is left out as well."""
    def too_deep(old, new):
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr("longop.codeproject.overlays._merged", too_deep)
    assert reads(linux=variables(SIZE="Small")).environment["SIZE"] == "Medium"
    assert "left out: maximum recursion" in caplog.text


def test_a_folder_that_cannot_be_listed(reads, a_pi, monkeypatch):
    """The settings are found by their name all the same."""
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    assert reads(linux=variables(SIZE="Small")).environment["SIZE"] == "Medium"


def test_an_error_names_each_file(reads, a_pi, tmp_path):
    """What is wrong may stand in any of them."""
    with pytest.raises(TargetError) as raised:
        reads(linux={"Modules": {"Mod": {"RouteMaps": [{"Route": 5}]}}})
    assert str(raised.value) == (
        f"{tmp_path / 'modulesettings.json'} with modulesettings.linux.json: "
        "Modules.Mod.RouteMaps[0].Route must be a text, not 5")


def test_comments(reads, a_pi):
    """It is read as the other one: with comments, trailing commas and any case."""
    found = reads(linux='''// for Linux
        {"MODULES": {"mod": {"environmentvariables": {"size": "Small",}, /* all */}}}''')
    assert found.environment["SIZE"] == "Small"


def test_nothing_is_asked_of_the_machine_without_such_files(reads, monkeypatch):
    monkeypatch.setattr(machine, "kinds", lambda: pytest.fail("was asked"))
    assert reads().environment["SIZE"] == "Medium"
