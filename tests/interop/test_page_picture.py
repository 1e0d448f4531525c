"""The picture of the page in the README. LONGOP_PICTURE=1 writes a new one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from . import test_page
from .webdriver import wait_for

pytestmark = test_page.pytestmark
browser = test_page.browser
PICTURE = Path(__file__).with_name("page.png")


def test_picture(browser):
    """The charts of the tour are drawn while numbers arrive, and the page fits into a picture."""
    with subprocess.Popen([sys.executable, "-m", "longop.serve", "--port", "0"], text=True,
                          cwd=str(test_page.ROOT), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as server:
        try:
            url = server.stdout.readline().rpartition(" at ")[2].strip()
            browser.show(760, 980)
            browser.get(url)
            request = urllib.request.Request(url + "v1/tour/train?epochs=120", b"",
                                             {"Prefer": "respond-async"})
            with urllib.request.urlopen(request) as answer:
                browser.run("location.hash = arguments[0]",
                            answer.headers["Location"].rpartition("/")[2])
            wait_for(lambda: re.search("(9[0-9]|1[0-9][0-9]) of 120", browser.run(
                "return document.body.innerText")), 60)
            assert browser.run("return document.querySelectorAll('svg').length") == 2
            picture = browser.screenshot()
        finally:
            server.terminate()
            server.wait()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 150_000
    if os.environ.get("LONGOP_PICTURE"):
        PICTURE.write_bytes(picture)
    assert PICTURE.stat().st_size < 150_000
