"""The browser page: ``page.html``, ``page.css`` and ``page.js``, served as one document.

One answer holds everything, so the page needs no further route and works from a zip. The files
are formatted by Prettier (``npx prettier --print-width 100``), and need no build step: the page
is put together and made small when it is first asked for, once for each language.

    page.js ── texts of one language ── script.py: made small ────────────────┐
    page.css ── no comments, no spaces ─────────────────────────────── page.html ── gzip
"""

from __future__ import annotations

import base64
import hashlib
import pkgutil
import re
import zlib
from functools import lru_cache
from typing import NamedTuple

from .request import Request
from .script import shorten
from .wire import Response

_STYLE_LINK = '<link rel="stylesheet" href="page.css" />'
_ROOT = 'data-root="."'
_SCRIPT_LINK = '<script type="module" src="page.js"></script>'

# Comments are for readers of the source and are not served.
_CSS_COMMENT = re.compile(r"(?m)^ */\*.*\*/\n+| +/\*.*\*/$")

# Spaces that can go: those around most signs, and most ends of lines. A string (the first group)
# stays as it is.
_CSS_SPACE = re.compile(r'("[^"]*")|(?:;?\s*(?=\})|\s*([{};,]))\s*|(?m:(?<=[\w-])(:) )')
_CSS_ZERO = re.compile(r"(?<=[\s:(,])0(?=\.)")
_INDENT = re.compile("(?m)^ +")

# The table of texts, and a text in English and in Chinese.
_TEXTS = re.compile(r"(?s)(?<=^const TEXT = \{\n).*?(?=\n\};)", re.MULTILINE)
_TEXT = re.compile(r'\[\s*("(?:[^"\\]|\\.)*"),\s*("(?:[^"\\]|\\.)*"),?\s*\]')
LANGUAGES = ("en", "zh-Hans")

# What a browser would read as the end of the element, or would hide the real end behind, even
# inside a string. HTML Standard, "Restrictions for contents of script elements".
_MARKUP = re.compile("<(?=!--|/?script|/style)", re.IGNORECASE)

# "gzip;q=0" is a refusal (RFC 9110 section 12.4.2).
_GZIP = re.compile(r"(?i)(?:^|,)\s*gzip\s*(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))(?:[;,]|$)")
# Where the script begins, and where its table of texts ends.
_PARTS = re.compile(rb'(?=<script)|(?<="\};)')
_GZIP_FORMAT = 16 + zlib.MAX_WBITS  # zlib's way to ask for gzip's header and trailer
_PARTIAL_FLUSH = 1  # zlib.Z_PARTIAL_FLUSH, a name that PyPy does not have


class _Page(NamedTuple):
    """The document, compressed too, and the policy under which it runs."""

    body: bytes
    compressed: bytes
    policy: str


def show(request: Request) -> Response:
    """Answer with the page, under a policy that runs no other script and loads nothing else."""
    is_chinese = request.headers.get("accept-language", "").lower().startswith("zh")
    page = _page(_way_up(request.path), is_chinese)
    headers = {
        "Content-Security-Policy": page.policy,
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding, Accept-Language",
    }
    body = page.body
    if _GZIP.search(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        body = page.compressed
    return Response(200, body, "text/html; charset=utf-8", headers)


def _way_up(path: str) -> str:
    """Return the server's root as the page's script finds it from a path, without a slash.

    Only this way does it find it behind a proxy that puts a path before ours.
    """
    depth = path.count("/") - 1
    return "/".join([".."] * depth) or "."


@lru_cache(maxsize=None)
def _page(root: str, is_chinese: bool) -> _Page:
    """Put the page together.

    The policy names the script and the style by their hashes, so the page is the same for all:
    it is made and compressed once. Two threads may both make it first; that is harmless.
    """
    style = "\n" + _embed_style(_read("page.css"))
    script = "\n" + _embed_script(_choose_texts(_read("page.js"), is_chinese))
    page = _INDENT.sub("", _read("page.html")).replace(_ROOT, f'data-root="{root}"')
    page = page.replace(f'lang="{LANGUAGES[0]}"', f'lang="{LANGUAGES[is_chinese]}"')
    page = page.replace(_STYLE_LINK, f"<style>{style}</style>")
    page = page.replace(_SCRIPT_LINK, f'<script type="module">{script}</script>')
    policy = (
        "default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
        f"script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    body = page.encode()
    return _Page(body, _compress(body), policy)


def _hash(text: str) -> str:
    """Return what names an element's content in a policy (CSP Level 3, section 2.3.1)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _compress(data: bytes) -> bytes:
    """Return the page as gzip has it; markup, texts and code are best packed each in its way."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP_FORMAT)
    packed = b""
    for part in _PARTS.split(data, 2):
        packed += packer.compress(part) + packer.flush(_PARTIAL_FLUSH)
    return packed + packer.flush()


def _read(name: str) -> str:
    """Return the text of one of the files, from a zip too."""
    data = pkgutil.get_data(__package__ or "longop.web", name)
    if data is None:
        raise FileNotFoundError(f"longop/web/{name} is missing: the package is incomplete")
    # A browser hashes line ends as it reads them, without CR.
    return data.decode("utf-8").replace("\r\n", "\n")


def _embed_style(text: str) -> str:
    """Return CSS to stand in a ``<style>``; a ``<`` that could end it becomes a CSS escape."""
    text = _CSS_SPACE.sub(_without_spaces, _CSS_ZERO.sub("", _CSS_COMMENT.sub("", text)))
    return _MARKUP.sub(r"\\3C ", text)


def _embed_script(text: str) -> str:
    """Return JavaScript to stand in a ``<script>``; a ``<`` that could end it is escaped.

    The escape means the same in a string, a template or a regular expression, and only there
    can such text stand.
    """
    return _MARKUP.sub(r"\\x3C", shorten(text))


def _without_spaces(match: re.Match[str]) -> str:
    """Return the string or the sign that was found."""
    return "".join(group for group in match.groups() if group)


def _choose_texts(script: str, is_chinese: bool) -> str:
    """Return the script with the texts of one language: 1 kB less of the 20 that are compressed."""
    group = r"\2" if is_chinese else r"\1"
    return _TEXTS.sub(lambda match: _TEXT.sub(group, match[0]), script)
