"""`longop.__main__`: one command in front of the others, from a folder, a zip and a pyz."""

import configparser
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
import zipapp
from pathlib import Path

import pytest

import longop
from longop.__main__ import main

from .windows import SIGNALS

ROOT = Path(__file__).parent.parent
WAIT = 30
COMMANDS = ["serve", "run", "client", "codeproject"]
WORK = '''
import os

def work(callback, text: str = "done"):
    """Report once."""
    callback(text, 1, 1)
    return {"text": text, "pid": os.getpid(), "debug": __debug__}
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder, with a space in its name, that holds longop in each form, and no work."""
    place = tmp_path_factory.mktemp("a place")
    shutil.copytree(str(ROOT / "longop"), str(place / "folder" / "longop"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    shutil.make_archive(str(place / "longop"), "zip", str(place / "folder"))
    zipapp.create_archive(str(place / "folder"), str(place / "longop.pyz"),
                          main="longop.__main__:main")
    # What pip writes for an entry point.
    (place / "bin").mkdir()
    (place / "bin" / "longop").write_text(
        "import sys\nfrom longop.__main__ import main\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n")
    return place


@pytest.fixture
def folder(tmp_path):
    """A folder elsewhere that holds the user's work."""
    folder = tmp_path / "some where"
    folder.mkdir()
    (folder / "work.py").write_text(WORK)
    return folder


def command(place, form, *flags):
    """Return the command that runs longop in a form, and where Python finds it."""
    if form == "pyz":
        return [sys.executable, *flags, str(place / "longop.pyz")], ""
    if form == "script":
        return [sys.executable, *flags, str(place / "bin" / "longop")], str(place / "folder")
    path = place / ("longop.zip" if form == "zip" else "folder")
    return [sys.executable, *flags, "-m", "longop"], str(path)


def run(started, *arguments, cwd=ROOT):
    """Run longop to its end; return exit code, standard output and standard error."""
    line, path = started
    done = subprocess.run([*line, *arguments], cwd=str(cwd), text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=WAIT,
                          env={**os.environ, "PYTHONPATH": path})
    return done.returncode, done.stdout, done.stderr


HERE = [sys.executable, "-m", "longop"], str(ROOT)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help(arguments):
    """Without an argument, as with --help, the commands are listed."""
    code, out, err = run(HERE, *arguments)
    assert (code, err) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in out
    assert out.startswith("usage: python -m longop COMMAND")
    assert "examples:\n  python -m longop work.py" in out
    assert max(map(len, out.splitlines())) <= 100


def test_version():
    """The version is told."""
    assert run(HERE, "--version") == (0, f"longop {longop.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name):
    """Each command has its help, with a usage line that says how it was called."""
    code, out, err = run(HERE, name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: python -m longop {name} ")
    code, out, _ = run(([sys.executable, "-m", f"longop.{name}"], str(ROOT)), "--help")
    assert code == 0
    assert out.startswith(f"usage: python -m longop.{name} ")


def test_usage_names_the_program(place):
    """The usage line names the file or the command that was called."""
    assert run(command(place, "pyz"))[1].startswith("usage: python longop.pyz COMMAND")
    assert run(command(place, "script"))[1].startswith("usage: longop COMMAND")


def test_neither_command_nor_target():
    """A word that is neither is one clear error, which names both ways."""
    code, out, err = run(HERE, "nonsense")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "no command nonsense" in err
    assert "no target nonsense" in err
    for name in COMMANDS:
        assert name in err


@pytest.mark.parametrize(("arguments", "says"), [
    (["nothing.py"], "there is no Python file nothing.py"),
    (["a.b"], "cannot import a.b"), (["json"], "no function with a callback"),
    (["run", "nonsense"], "cannot import nonsense"), (["serve", "nonsense"], "cannot import"),
    (["run", "a", "b", "--executor=x"], "invalid choice"), (["--nonsense"], "unrecognized")])
def test_wrong_usage(arguments, says):
    """What a command refuses is one error, and exit code 2."""
    code, out, err = run(HERE, *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def missing(tmp_path, *names):
    """Return how to run a copy of longop without some of its parts."""
    shutil.copytree(str(ROOT / "longop"), str(tmp_path / "longop"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    for name in names:
        part = tmp_path / "longop" / name
        if part.is_dir():
            shutil.rmtree(str(part))
        else:
            part.unlink()
    return [sys.executable, "-m", "longop"], str(tmp_path)


@pytest.mark.parametrize(("name", "deleted", "says"), [
    ("serve", "serve", "python -m longop serve needs longop.serve"),
    ("run", "run", "python -m longop run needs longop.run"),
    ("client", "client.py", "python -m longop client needs longop.client"),
    ("codeproject", "codeproject", "python -m longop codeproject needs longop.codeproject"),
    ("serve", "cli", "python -m longop serve needs longop.cli"),
    ("run", "cli", "python -m longop run needs longop.cli"),
    ("client", "cli", "python -m longop client needs longop.cli"),
    ("serve", "web", "python -m longop serve needs longop.web")])
def test_missing_wing(tmp_path, folder, name, deleted, says):
    """A part that is not in this copy is named, on one line, with exit code 2."""
    code, out, err = run(missing(tmp_path, deleted), name, "work.py", cwd=folder)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1, err
    assert says in err


@pytest.mark.parametrize("feature", ["--executor=process", "--history=jobs.sqlite3"])
def test_missing_feature(tmp_path, folder, feature):
    """A feature whose part is not in this copy is one line that names both."""
    line = missing(tmp_path, "workers", "archive")
    code, out, err = run(line, "work.py", "--port=0", feature, cwd=folder)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1, err
    assert feature.partition("=")[0].strip("-") in err
    assert "which is not in this copy of longop" in err


def test_client_without_cli(tmp_path):
    """Without `cli` the client is a library still, and its command says what is missing."""
    _, path = missing(tmp_path, "cli", "run", "serve", "codeproject", "__main__.py")
    client = [sys.executable, "-m", "longop.client"], path
    code, out, err = run(client, "http://127.0.0.1:9/", cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err == ("longop.client: python -m longop.client needs longop.cli.client, which is "
                   "not in this copy of longop\n")
    script = "import longop.client; print(longop.client.connect.__name__)"
    assert run(([sys.executable, "-c", script], path), cwd=tmp_path)[:2] == (0, "connect\n")


@pytest.mark.parametrize(("form", "target"), [
    ("folder", "work.py"), ("folder", "work"), ("folder", "work:work"), ("zip", "work"),
    ("pyz", "work.py"), ("pyz", "work"), ("script", "work:work")])
def test_run(place, folder, form, target):
    """In each form, from any folder, a file or a module of the working folder is run."""
    code, out, err = run(command(place, form), "run", target, "text=a b", cwd=folder)
    assert code == 0, err
    assert json.loads(out)["text"] == "a b"
    assert "completed" in err


@pytest.mark.parametrize(("form", "flags"), [
    ("folder", ()), ("zip", ()), ("pyz", ()), ("script", ()),
    ("pyz", ("-I",)), ("pyz", ("-S",)), ("pyz", ("-OO",)), ("zip", ("-S", "-O")),
    ("folder", ("-S",)), ("folder", ("-OO",))])
def test_processes(place, folder, form, flags):
    """A process finds longop again in each form, and has Python's flags."""
    line = command(place, form, *flags)
    code, out, err = run(line, "run", "work.py", "--executor", "process", cwd=folder)
    assert code == 0, err
    assert json.loads(out)["debug"] is not any(flag.startswith("-O") for flag in flags)
    assert "Traceback" not in err


def test_isolated(place, folder):
    """In isolated mode no module of the working folder is imported."""
    code, _, err = run(command(place, "pyz", "-I"), "run", "work", cwd=folder)
    assert code == 2
    assert "cannot import work" in err


@SIGNALS
@pytest.mark.parametrize("arguments", [
    ["serve", "work.py"], ["work.py"], ["--quiet", "work"]])
@pytest.mark.parametrize("form", ["folder", "pyz"])
def test_serve(place, folder, form, arguments):
    """A target alone is served as by the command: options, the page, processes."""
    line, path = command(place, form)
    with subprocess.Popen([*line, *arguments, "--port=0", "--executor=process"],
                          cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "PYTHONPATH": path}) as process:
        try:
            said = process.stdout.readline()
            assert said.startswith("work/work at "), process.stderr.read()
            url = said.split()[-1]
            asked = urllib.request.Request(url + "v1/work/work", b"", {"Prefer": "wait=20"})
            with urllib.request.urlopen(asked, timeout=WAIT) as answer:
                status = json.loads(answer.read())
            assert status["state"] == "completed"
            assert status["result"]["pid"] != process.pid
            with urllib.request.urlopen(url, timeout=WAIT) as page:
                assert b"<title>longop</title>" in page.read()
            process.send_signal(signal.SIGTERM)
            assert process.wait(WAIT) == 0
        finally:
            process.kill()


def test_exit_code(place, folder):
    """The exit code is the command's in each form, a zip's too."""
    (folder / "fails.py").write_text("def fails(callback):\n    raise ValueError\n")
    for form in "folder", "zip", "pyz", "script":
        assert run(command(place, form), "run", "fails.py", cwd=folder)[0] == 1
        assert run(command(place, form), "nonsense", cwd=folder)[0] == 2


def test_main(capsys):
    """Called with arguments it returns the exit code; without, it exits with it."""
    assert main(["--version"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["longop", "--version"])
        with pytest.raises(SystemExit) as caught:
            main()
    assert caught.value.code == 0
    assert capsys.readouterr().out == 2 * f"longop {longop.__version__}\n"


def test_entry_point():
    """An installed `longop` is this `main`."""
    setup = configparser.ConfigParser()
    setup.read(str(ROOT / "setup.cfg"))
    scripts = setup["options.entry_points"]["console_scripts"].strip()
    assert scripts == "longop = longop.__main__:main"
