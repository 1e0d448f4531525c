"""`examples.ocr_pages` on pages that are drawn here, with the real tesseract."""

import contextlib
import inspect
import os
import shutil
import signal
import textwrap
import urllib.parse
from pathlib import Path

import pytest

from examples.ocr_pages import ocr_pages
from longop import LongOperation, State

from ..serve.test_main import get, served
from ..waiting import WAIT, end_of, wait_until
from .peers import needs

pytestmark = [needs("PIL"), pytest.mark.skipif(
    not shutil.which("tesseract") and os.environ.get("LONGOP_INTEROP") != "1",
    reason="needs tesseract")]
TEXTS = ["The first page\nis about apples.", "The second page\nis about bears.",
         "The last page\nis about cherries."]
# What takes tesseract seconds, so that it can be caught at it.
DENSE = "\n".join(textwrap.wrap(inspect.getsource(textwrap), 120)[:150])


def draw(text, file, size=40):
    """Draw a text on a white page."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    _, _, width, height = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), text, font)
    image = Image.new("L", (int(width) + 80, int(height) + 80), "white")
    ImageDraw.Draw(image).text((40, 40), text, "black", font)
    image.save(file)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Three pages to read, and one that takes long."""
    folder = tmp_path_factory.mktemp("drawn")
    for text, name in zip(TEXTS, ["page 1.png", "page 2.jpg", "page 10.png"]):
        draw(text, folder / name)
    draw(DENSE, folder / "dense.png", 30)
    return folder


@pytest.fixture
def folder(drawn, tmp_path):
    """A folder with the three pages, and something that is no image."""
    for image in drawn.glob("page*"):
        shutil.copy(str(image), str(tmp_path / image.name))
    (tmp_path / "notes.txt").write_text("page 1.png")
    return tmp_path


@pytest.fixture
def long(drawn, folder):
    """The folder with a second page that takes long."""
    shutil.copy(str(drawn / "dense.png"), str(folder / "page 2.png"))
    (folder / "page 2.jpg").unlink()
    return folder


def reader(image):
    """Return the process that reads an image, if there is one."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(str(image)) in (process / "cmdline").read_bytes().split(b"\0"):
                return int(process.name)
    return None


def hold(image):
    """Stop tesseract when it reads an image: it will not end by itself; return its process."""
    process = wait_until(lambda: reader(image))
    os.kill(process, signal.SIGSTOP)
    return process


def is_there(process):
    """Tell whether a process is there, a dead one that nobody waited for too."""
    return Path(f"/proc/{process}").exists()


def test_plain_callback(folder):
    """With a callback that only takes reports it reports before each page and after the last."""
    reports = []
    text = ocr_pages(folder, lambda *report: reports.append(report))
    so_far = ["", *("\n\n".join(TEXTS[:count]) for count in (1, 2, 3))]
    assert text == so_far[3]
    assert reports == [
        (so_far[0], 0, 3, "reading page 1.png"), (so_far[1], 1, 3, "reading page 2.jpg"),
        (so_far[2], 2, 3, "reading page 10.png"), (so_far[3], 3, 3, "read 3 pages")]


def test_plain_callback_that_raises(folder):
    """A callback of any kind stops it between two pages."""

    def callback(text, step, total, message):
        if step == 1:
            raise KeyboardInterrupt(text)

    with pytest.raises(KeyboardInterrupt, match="apples"):
        ocr_pages(folder, callback)


def test_one_image(folder):
    """A single image is read too."""
    status = end_of(LongOperation(ocr_pages).start(pages=folder / "page 10.png"))
    assert (status.state, status.result, status.step) == (State.COMPLETED, TEXTS[2], 1)


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_cancel(make, executor, long):
    """A cancel ends tesseract in mid-page; what was read is kept, and no more is."""
    job = make(ocr_pages, executor).start(pages=long)
    process = hold(long / "page 2.png")
    wait_until(lambda: job.status().step == 1)  # a report from a process takes a moment
    status = job.status()
    assert (status.state, status.result, status.total, status.message) == (
        State.RUNNING, TEXTS[0], 3, "reading page 2.png")
    job.cancel()
    status = end_of(job)
    assert (status.state, status.result, status.step) == (State.CANCELLED, TEXTS[0], 1)
    assert not is_there(process)
    assert reader(long / "page 10.png") is None


def test_over_http(folder, long):
    """A form starts it, a cancel over HTTP ends tesseract, and the next job reads on."""
    with served("examples.ocr_pages") as (_, _, url):

        def start(pages):
            form = urllib.parse.urlencode({"pages": pages, "language": "eng"}).encode()
            return get(f"{url}v1/ocr_pages/ocr_pages", form)["commandId"]

        def end(id):
            status = get(f"{url}v1/jobs/{id}?since=0")
            while status["finished_at"] is None:
                status = get(f"{url}v1/jobs/{id}?since={status['version']}&wait={WAIT}")
            return status["state"], status["result"]

        id = start(long)
        process = hold(long / "page 2.png")
        get(f"{url}v1/jobs/{id}/cancel", b"")
        assert end(id) == ("cancelled", TEXTS[0])
        assert not is_there(process)
        assert end(start(folder / "page 1.png")) == ("completed", TEXTS[0])


def test_no_image(folder):
    """What is no image is an error that says so, and the pages before it are kept."""
    (folder / "page 2.jpg").write_bytes(b"\xff\xd8 is no JPEG")
    status = end_of(LongOperation(ocr_pages).start(pages=folder))
    assert (status.state, status.result, status.step) == (State.FAILED, TEXTS[0], 1)
    assert status.error.startswith(f"ValueError: tesseract cannot read {folder / 'page 2.jpg'}: ")


@pytest.mark.parametrize(("parameters", "says"), [
    ({"pages": "nowhere"}, "there is no file or folder {}/nowhere"),
    ({"pages": "empty"}, "there is no image in the folder {}/empty"),
    ({"language": "eng+xyz"}, "tesseract has no language 'xyz' here; it has eng, osd. More are in "
                              "the packages tesseract-ocr-..."),
    ({"language": "../eng"}, "tesseract has no language '../eng' here; it has ")])
def test_bad_input(folder, parameters, says):
    """A wrong parameter is an error that says what is wrong."""
    (folder / "empty").mkdir()
    status = end_of(LongOperation(ocr_pages).start(
        **{**parameters, "pages": folder / parameters.get("pages", "")}))
    assert status.error.startswith("ValueError: " + says.format(folder)), status.error


def test_without_tesseract(folder, monkeypatch):
    """Without tesseract it says what to install."""
    monkeypatch.setenv("PATH", str(folder))
    status = end_of(LongOperation(ocr_pages).start(pages=folder))
    assert status.error == "RuntimeError: this needs tesseract: sudo apt-get install tesseract-ocr"
