"""The page's three files become one document. tests/interop has the same page in a browser."""

import base64
import gzip
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

from longop.web import page

from .requests import request

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "longop" / "web"


class Elements(HTMLParser):
    """Collects the texts of the elements whose content is not markup, and the names of all."""

    def __init__(self, text):
        super().__init__()
        self.names, self.attributes, self.texts = [], [], {"script": "", "style": ""}
        self.open = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.open = tag if tag in self.texts else None

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open:
            self.texts[self.open] += data


def show(*headers):
    return page.show(request(*headers))


@pytest.fixture
def served():
    return show().body.decode()


@pytest.fixture
def assemble(monkeypatch):
    """Put other files together, in place of the page's own."""
    def assemble(style="", script=""):
        html = (FILES / "page.html").read_text(encoding="utf-8")
        files = {"page.html": html, "page.css": style, "page.js": script}
        monkeypatch.setattr(page, "_read", files.__getitem__)
        return page._page.__wrapped__(".", False).body.decode()
    return assemble


def test_one_document_has_all_three_files(served):
    """The style and the script are inside, and nothing else is asked for."""
    elements = Elements(served)
    assert elements.names.count("style") == elements.names.count("script") == 1
    assert "color-scheme:light dark" in elements.texts["style"]
    assert "new EventSource(" in elements.texts["script"]
    links = [(tag, name, value) for tag, name, value in elements.attributes
             if name in ("src", "href", "action", "data")]
    assert links == [("link", "href", "data:,")]


@pytest.mark.parametrize("language", ["en-US,en;q=0.9", "zh-CN"])
def test_it_is_small(language):
    """The page is at most 60,000 bytes, and compressed at most 20,000, in each language."""
    accepts = f"Accept-Language: {language}"
    assert len(show(accepts).body) <= 60_000
    assert len(show(accepts, "Accept-Encoding: gzip").body) <= 20_000


@pytest.mark.parametrize(("accepted", "is_packed"), [
    ("gzip, deflate, br", True), ("br;q=1, GZIP;q=0.5", True), ("gzip;q=0", False),
    ("gzip; q=0.0, br", False), ("deflate", False), ("x-gzip", False), ("", False)])
def test_it_is_compressed_for_whoever_accepts_it(accepted, is_packed):
    """The same page is sent compressed if the request accepts it, and caches are told."""
    answer = show(f"Accept-Encoding: {accepted}")
    assert answer.headers["Vary"] == "Accept-Encoding, Accept-Language"
    assert answer.headers.get("Content-Encoding") == ("gzip" if is_packed else None)
    body = gzip.decompress(answer.body) if is_packed else answer.body
    assert body == show().body


def test_the_source_is_readable():
    """No line of the files is over 100 columns."""
    for name in "page.html", "page.css", "page.js":
        text = (FILES / name).read_text(encoding="utf-8")
        assert max(map(len, text.splitlines())) <= 100
        assert "\t" not in text


def test_each_text_is_there_in_both_languages():
    """The table has each text in English and in Chinese, and a page has one of them."""
    table = page._TEXTS.search((FILES / "page.js").read_text(encoding="utf-8"))[0]
    pairs = page._TEXT.findall(table)
    assert len(pairs) == len(re.findall(r'(?m)^  (?:\w+|"[^"]+"): \[', table))
    for english, chinese in pairs:
        assert english.isascii() or "…" in english
        assert re.search("[\u4e00-\u9fff\uff0c/]", chinese) or english in (
            '" values"', '"a UUID"')
    for language, is_chinese in ("en", False), ("zh-TW, en", True):
        text = show(f"Accept-Language: {language}").body.decode()
        assert bool(re.search("[\u4e00-\u9fff]", text)) is is_chinese
        assert ('lang="zh-Hans"' in text) is is_chinese


def test_no_text_goes_over_several_lines():
    """A template that does would lose its indentation, and what looks like a comment in it."""
    script = (FILES / "page.js").read_text(encoding="utf-8")
    assert [line for line in script.splitlines() if line.count("`") % 2] == []


def test_the_policy_names_the_script_and_the_style():
    """The policy allows the one script and the one style, by the hashes of their texts."""
    answer = show()
    texts = Elements(answer.body.decode()).texts
    for name, text in texts.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}';" in answer.headers["Content-Security-Policy"]


def test_line_ends_do_not_change_a_hash(monkeypatch):
    """A file with CR LF is served without CR, as a browser would hash it."""
    monkeypatch.setattr(page.pkgutil, "get_data", lambda package, name: b"a\r\nb")
    assert page._read("page.css") == "a\nb"


def test_the_headers():
    """The page can load nothing, be framed by nobody, and does not tell where it was."""
    answer = show()
    assert (answer.status, answer.content_type) == (200, "text/html; charset=utf-8")
    policy = re.sub("sha256-[^']+", "hash", answer.headers["Content-Security-Policy"])
    assert policy == ("default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
                      "script-src 'hash'; style-src 'hash'; base-uri 'none'; "
                      "form-action 'none'; frame-ancestors 'none'")
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_the_files_are_read_once(monkeypatch):
    """After the first answer the text is at hand."""
    show()
    monkeypatch.setattr(page, "_read", None)
    assert show().status == 200


@pytest.mark.parametrize("text", ["</script>", "</SCRIPT >", "<!-- <script>", "</script/x"])
def test_a_script_cannot_end_its_element(assemble, text):
    """Markup in a string is escaped, which changes nothing in JavaScript."""
    elements = Elements(assemble(script=f'const text = "{text}";\nlast();\n'))
    assert elements.names.count("script") == 1
    script = elements.texts["script"]
    assert script.endswith("last();")
    assert text not in script
    assert text in script.replace(r"\x3C", "<")


@pytest.mark.parametrize("text", ["</style>", "</STYLE >", "</style/x"])
def test_a_style_cannot_end_its_element(assemble, text):
    """Markup in a string is escaped, which changes nothing in CSS."""
    elements = Elements(assemble(style=f'p::before {{\n  content: "{text}";\n}}\n'))
    assert elements.names.count("style") == 1
    style = elements.texts["style"]
    assert style.endswith("}")
    assert text not in style
    assert text in style.replace("\\3C ", "<")


def test_what_looks_like_a_comment_in_a_string_stays(assemble):
    """A comment is left out, and what only looks like one is not."""
    document = assemble(
        style='/* one */\np {\n  content: "/* two */";\n}\n',
        script='// three\nfour("// five"); // six\nseven("http://eight");\nnine(); // "ten"\n')
    elements = Elements(document)
    assert elements.texts["style"].strip() == 'p{content:"/* two */"}'
    assert elements.texts["script"].strip() == (
        'four("// five");seven("http://eight");nine();')


def test_it_comes_out_of_a_zip(tmp_path, served):
    """A package in a zip serves the same page."""
    archive = tmp_path / "longop.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (ROOT / "longop").rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                file.write(path, path.relative_to(ROOT))
    script = ("import sys, types; from longop.web import page; assert '.zip' in page.__file__;"
              "request = types.SimpleNamespace(path='/', headers={});"
              "sys.stdout.buffer.write(page.show(request).body)")
    found = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True,
                           cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=str(archive)))
    assert found.stdout.decode("utf-8") == served


def test_a_missing_file_is_named(monkeypatch):
    """An incomplete package says which file it lacks."""
    monkeypatch.setattr(page.pkgutil, "get_data", lambda package, name: None)
    with pytest.raises(FileNotFoundError, match=r"longop/web/page\.css is missing"):
        page._read("page.css")


def test_names_that_zlib_lacks(monkeypatch):
    """The page is packed where zlib does not name all ways to flush, as PyPy's does not."""
    monkeypatch.delattr(page.zlib, "Z_PARTIAL_FLUSH", raising=False)
    assert gzip.decompress(page._compress(b"<p><script>")) == b"<p><script>"
