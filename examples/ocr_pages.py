"""Read the text on images of pages with tesseract. A cancel stops it in mid-page.

sudo apt-get install tesseract-ocr
python3 -m longop.serve examples.ocr_pages

The function knows nothing of longop. It sleeps while tesseract works. If its callback has a
``wait(seconds)``, as longop's has, it sleeps there, and a cancel takes hold at once. Any other
callback can stop it between two pages, by raising.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif",
          ".tiff", ".webp"}


def ocr_pages(pages: Path, callback, language: str = "eng"):
    """Read the image of a page, or all images in a folder; ``language`` may be "eng+deu"."""
    _check_language(language)
    images, text = _find_images(pages), ""
    for step, image in enumerate(images):
        callback(text, step, len(images), f"reading {image.name}")
        text += ("\n\n" if text else "") + _read(image, language, callback)
    callback(text, len(images), len(images), f"read {len(images)} pages")
    return text


def _find_images(pages):
    if pages.is_file():
        return [pages]
    if not pages.is_dir():
        raise ValueError(f"there is no file or folder {pages}")
    images = [path for path in pages.iterdir() if path.suffix.lower() in IMAGES]
    if not images:
        raise ValueError(f"there is no image in the folder {pages}")
    # Page 10 comes after page 9.
    return sorted(images, key=lambda path: re.sub(r"\d+", lambda n: n[0].zfill(20), path.name))


def _check_language(language):
    if not shutil.which("tesseract"):
        raise RuntimeError("this needs tesseract: sudo apt-get install tesseract-ocr")
    lines = subprocess.run(["tesseract", "--list-langs"], stdout=subprocess.PIPE, check=True)
    known = lines.stdout.decode().splitlines()[1:]
    for name in language.split("+"):
        if name not in known:
            raise ValueError(f"tesseract has no language {name!r} here; it has "
                             f"{', '.join(known)}. More are in the packages tesseract-ocr-...")


def _read(image, language, callback):
    """Return the text on an image. However this ends, tesseract has ended too."""
    sleep = getattr(callback, "wait", time.sleep)
    with tempfile.TemporaryFile() as text, tempfile.TemporaryFile() as errors:
        # In a session of its own (on Windows, a process group), so that Ctrl-C reaches this
        # process only. One thread is faster than several.
        process = subprocess.Popen(
            ["tesseract", str(image.resolve()), "stdout", "-l", language],
            stdin=subprocess.DEVNULL, stdout=text, stderr=errors, start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            env={"OMP_THREAD_LIMIT": "1", **os.environ})
        try:
            while process.poll() is None:
                sleep(0.02)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        text.seek(0)
        errors.seek(0)
        if process.returncode:
            why = errors.read().decode(errors="replace").strip()
            raise ValueError(f"tesseract cannot read {image}: {why}")
        return text.read().decode().strip()
