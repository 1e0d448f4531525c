"""`longop.codeproject.machine`: what CodeProject.AI Server calls this machine."""

import pytest

from longop.codeproject import machine


@pytest.mark.parametrize(("platform", "processor", "kinds"), [
    ("linux", "x86_64", ["linux", "linux.x64"]), ("win32", "AMD64", ["windows", "windows.x64"]),
    ("darwin", "arm64", ["macos", "macos.arm64"]), ("linux", "armv7l", ["linux", "linux.arm"])])
def test_kinds_of_machine(monkeypatch, platform, processor, kinds):
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("platform.machine", lambda: processor)
    monkeypatch.setattr("longop.codeproject.system._MODEL_FILES", ())
    assert machine.kinds() == kinds
    assert machine.platform_name() == kinds[0] + "-arm64" * ("arm64" in kinds[1])


def test_a_board(a_pi):
    """A board is the most special kind, and what %PLATFORM% stands for."""
    assert machine.kinds() == ["linux", "linux.arm64", "raspberrypi"]
    assert machine.platform_name() == "raspberrypi"
