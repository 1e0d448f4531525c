"""The package as it is copied, and that the README is true."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

import longop

from .serve.test_main import get, served, wait_for_log

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_example_scripts():
    """The examples can be imported, and the one for a server of one's own has its operation."""
    script = ("import examples.embed, examples.script, examples.download, examples.backup,"
              "examples.on_dask, examples.ocr_pages, examples.llama_chat,"
              "examples.text_to_image;"
              "print(examples.embed.Handler.api)")
    subprocess.run([sys.executable, "-c", script], cwd=str(ROOT), check=True,
                   stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_copied(form, tmp_path):
    """A copy of the folder, or a zip on the path, is all that is needed; processes find it too."""
    if form == "folder":
        shutil.copytree(str(ROOT / "longop"), str(tmp_path / "longop"))
        path = tmp_path
    else:
        path = tmp_path / "longop.zip"
        with zipfile.ZipFile(str(path), "w") as file:
            for source in (ROOT / "longop").rglob("*"):
                if source.is_file() and "__pycache__" not in source.parts:
                    file.write(str(source), str(source.relative_to(ROOT)))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "work.py").write_text("def work(callback):\n    callback('done')\n")
    with served("work.py", "--executor", "process", cwd=elsewhere,
                PYTHONPATH=str(path)) as (process, _, url):
        get(url + "v1/work/work", b"")
        wait_for_log(process, "completed")
        with urllib.request.urlopen(url, timeout=20) as page:
            assert b"<title>longop</title>" in page.read()


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, re.S)


@pytest.mark.parametrize(("code", "output"), list(
    zip(blocks("python"), [*blocks("text"), *[""] * len(blocks("python"))])))
def test_readme_python(code, output):
    """The README's Python prints what the README says."""
    done = subprocess.run([sys.executable, "-W", "error::SyntaxWarning", "-c", code],
                          cwd=str(ROOT), stdout=subprocess.PIPE, check=True, timeout=60,
                          text=True)
    assert done.stdout == output


def test_readme_http():
    """The README's curl lines do what the README says."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if "curl" in line]
    assert len(lines) == 3
    with served("examples.long_process") as (process, _, url):
        answers, id = [], "ID"
        for line in lines:
            *options, address = shlex.split(line)[1:]
            address = address.replace("localhost:32168/", url).replace("ID", id)
            answers.append(get(address, method=options[1] if options else "GET"))
            id = answers[0]["commandId"]
        assert answers[1]["state"] == "running"
        assert answers[2]["state"] == "cancelling"
        assert list(answers[1]) == list(json.loads(blocks("json")[0]))
        wait_for_log(process, "cancelled")


def test_readme_commands(tmp_path):
    """The README's other commands are real ones."""
    commands = [line for block in blocks("sh") for line in block.splitlines()
                if "curl" not in line]
    assert commands == [
        "python3 -m longop.serve examples.long_process", "python3 -m tests",
        "python3 -m longop.run examples.long_process",
        "python3 -m longop.client http://127.0.0.1:32168/ a_long_process",
        "python3 -m zipfile -c longop.zip longop/",
        "PYTHONPATH=longop.zip python3 -m longop.serve examples.long_process",
        "python3 -m longop.codeproject new PythonLongProcess examples/long_process.py"]
    archive = tmp_path / "longop.zip"
    subprocess.run([sys.executable, "-m", "zipfile", "-c", str(archive), "longop/"],
                   cwd=str(ROOT), check=True)
    shutil.copytree(str(ROOT / "examples"), str(tmp_path / "examples"))
    with served("examples.long_process", cwd=tmp_path, PYTHONPATH=str(archive)) as (_, line, _url):
        assert line.startswith("long_process/a_long_process at ")


def test_readme_routes():
    """Every route in the README's table is one of the API's, and the links lead somewhere."""
    from longop.web.api import Api

    api = Api([longop.LongOperation(lambda callback: 1, name="operation")])
    api._operations[0].module = "module"
    api = Api(api._operations)
    rows = re.findall(r"^\| (`(?:GET|POST|DELETE).*?`) \|", README, re.M)
    assert len(rows) > 9
    for methods, path in re.findall(r"`([A-Z][\w ]*) (/[^`]*)`", " ".join(rows)):
        for method in methods.split(" or "):
            assert method in api._find_views(re.sub(r"<(\w+)>", r"\1", path)), path
    headings = {"#" + re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
                for heading in re.findall("^#+ (.*)", README, re.M)}
    for link in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert link in headings or (ROOT / link).exists(), link
