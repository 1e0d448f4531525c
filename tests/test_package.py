"""The package as it is copied, and its examples."""

import shutil
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest


from .serve.test_main import get, served, wait_for_log

ROOT = Path(__file__).parent.parent


def test_example_scripts():
    """The examples can be imported, and the server of your own has its operation."""
    script = ("import examples.embed, examples.script, examples.download, examples.backup,"
              "examples.on_dask, examples.ocr_pages, examples.llama_chat,"
              "examples.text_to_image;"
              "print(examples.embed.Handler.api)")
    subprocess.run([sys.executable, "-c", script], cwd=str(ROOT), check=True,
                   stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_copied(form, tmp_path):
    """A copy of the folder, or a zip on the path, is enough; processes find it too."""
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
