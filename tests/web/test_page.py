"""The page's three files become one document. tests/interop has the same page in a browser."""

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
NONCE = "0123456789abcdef" * 2


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


def show():
    return page.show(request())


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
        return NONCE.join(piece.decode() for piece in page._pieces.__wrapped__())
    return assemble


def test_one_document_has_all_three_files(served):
    """The style and the script are inside, and nothing else is asked for."""
    elements = Elements(served)
    assert elements.names.count("style") == elements.names.count("script") == 1
    assert "color-scheme: light dark" in elements.texts["style"]
    assert "async function follow()" in elements.texts["script"]
    links = [(tag, name, value) for tag, name, value in elements.attributes
             if name in ("src", "href", "action", "data")]
    assert links == [("link", "href", "data:,")]


def test_it_is_at_most_56_kb(served):
    """The page is small: at most 56,000 bytes before compression."""
    assert len(served.encode()) <= 56_000


def test_the_source_is_readable(served):
    """No line of the files is over 100 columns, and the served page keeps their lines."""
    for name in "page.html", "page.css", "page.js":
        text = (FILES / name).read_text(encoding="utf-8")
        assert max(map(len, text.splitlines())) <= 100
        assert "\t" not in text
    assert max(map(len, served.splitlines())) <= 100
    assert len(served.splitlines()) > 1500


def test_only_comments_and_indentation_are_left_out(served):
    """What is served is the files' statements, in their order."""
    script = (FILES / "page.js").read_text(encoding="utf-8")
    statements = [line.strip() for line in script.splitlines()]
    statements = [line for line in statements if line and not line.startswith("//")]
    lines = iter([line.strip() for line in Elements(served).texts["script"].splitlines()])
    for statement in statements:
        assert next(line for line in lines if line) in (statement, statement.split(" // ")[0])
    assert not any(lines)


def test_no_text_goes_over_several_lines():
    """A template that does would lose its indentation, and what looks like a comment in it."""
    script = (FILES / "page.js").read_text(encoding="utf-8")
    assert [line for line in script.splitlines() if line.count("`") % 2] == []


def test_a_nonce_is_new_in_each_answer():
    """The policy allows the script and the style that have the answer's own nonce."""
    nonces = set()
    for _ in range(2):
        answer = show()
        in_page = re.findall('<(?:style|script type="module") nonce="([0-9a-f]{32})">',
                             answer.body.decode())
        in_policy = re.findall("(?:style|script)-src 'nonce-([0-9a-f]{32})'",
                               answer.headers["Content-Security-Policy"])
        assert in_page == in_policy == [in_page[0]] * 2
        nonces.add(in_page[0])
    assert len(nonces) == 2


def test_the_headers():
    """The page can load nothing, be framed by nobody, and does not tell where it was."""
    answer = show()
    assert (answer.status, answer.content_type) == (200, "text/html; charset=utf-8")
    policy = re.sub("nonce-[0-9a-f]+", "nonce", answer.headers["Content-Security-Policy"])
    assert policy == ("default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
                      "script-src 'nonce'; style-src 'nonce'; base-uri 'none'; "
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
    assert script.endswith("last();\n")
    assert text not in script
    assert text in script.replace(r"\x3C", "<")


@pytest.mark.parametrize("text", ["</style>", "</STYLE >", "</style/x"])
def test_a_style_cannot_end_its_element(assemble, text):
    """Markup in a string is escaped, which changes nothing in CSS."""
    elements = Elements(assemble(style=f'p::before {{\n  content: "{text}";\n}}\n'))
    assert elements.names.count("style") == 1
    style = elements.texts["style"]
    assert style.endswith("}\n")
    assert text not in style
    assert text in style.replace("\\3C ", "<")


def test_what_looks_like_a_comment_in_a_string_stays(assemble):
    """A comment is left out where it stands alone, or has no quotes."""
    document = assemble(
        style='/* one */\np {\n  content: "/* two */";\n}\n',
        script='// three\nfour("// five"); // six\nseven("http://eight");\nnine(); // "ten"\n')
    elements = Elements(document)
    assert elements.texts["style"].strip() == 'p {\n\tcontent: "/* two */";\n}'
    assert elements.texts["script"].splitlines() == [
        "", 'four("// five");', 'seven("http://eight");', 'nine(); // "ten"']


def test_it_comes_out_of_a_zip(tmp_path, served):
    """A package in a zip serves the same page."""
    archive = tmp_path / "longop.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (ROOT / "longop").rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                file.write(path, path.relative_to(ROOT))
    script = ("import sys; from longop.web import page; assert '.zip' in page.__file__;"
              "sys.stdout.buffer.write(page.show(None).body)")
    found = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True,
                           cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=str(archive)))

    def without_nonce(text):
        return re.sub(' nonce="[0-9a-f]{32}"', "", text)
    assert without_nonce(found.stdout.decode("utf-8")) == without_nonce(served)


def test_a_missing_file_is_named(monkeypatch):
    """An incomplete package says which file it lacks."""
    monkeypatch.setattr(page.pkgutil, "get_data", lambda package, name: None)
    with pytest.raises(FileNotFoundError, match=r"longop/web/page\.css is missing"):
        page._read("page.css")
