"""The browser page: ``page.html``, ``page.css`` and ``page.js``, served as one document.

One answer holds everything, so the page needs no further route and works from a zip. The files
are formatted by Prettier (``npx prettier --print-width 100``), and need no build step.
"""

from __future__ import annotations

import os
import pkgutil
import re
from functools import lru_cache

from .request import Request
from .wire import Response

_STYLE_LINK = '<link rel="stylesheet" href="page.css" />'
_SCRIPT_LINK = '<script type="module" src="page.js"></script>'

# Comments are for readers of the source and are not served. One at the end of a line is found
# only if it has no quotes: this way no `//` inside a string is taken for a comment.
_CSS_COMMENT = re.compile(r"(?m)^ */\*.*\*/\n+| +/\*.*\*/$")
_JS_COMMENT = re.compile(r"(?m)^ *//.*\n+| +// [^\"'`\n]*$")
_INDENT = re.compile("(?m)^(?:  )+")

# What a browser would read as the end of the element, or would hide the real end behind, even
# inside a string. HTML Standard, "Restrictions for contents of script elements".
_MARKUP = re.compile("<(?=!--|/?script|/style)", re.IGNORECASE)


def show(request: Request) -> Response:
    """Answer with the page, under a policy that runs no other script and loads nothing else.

    The policy names the page's script and style by a nonce, which is new in each answer.
    """
    nonce = os.urandom(16).hex()
    policy = (
        "default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
        f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
    body = nonce.encode().join(_pieces())
    return Response(200, body, "text/html; charset=utf-8", headers)


@lru_cache(maxsize=None)
def _pieces() -> tuple[bytes, bytes, bytes]:
    """Return the document in three pieces: the nonce goes between them, twice.

    Cached, so the files are read once. Two threads may both read them first; that is harmless.
    """
    page = _indent_with_tabs(_read("page.html"))
    head, rest = page.split(_STYLE_LINK)
    body, end = rest.split(_SCRIPT_LINK)
    style = _embed_style(_read("page.css"))
    script = _embed_script(_read("page.js"))
    before_style = f'{head}<style nonce="'
    before_script = f'">\n{style}</style>{body}<script type="module" nonce="'
    after_nonces = f'">\n{script}</script>{end}'
    return before_style.encode(), before_script.encode(), after_nonces.encode()


def _read(name: str) -> str:
    """Return the text of one of the files, from a zip too."""
    data = pkgutil.get_data(__package__ or "longop.web", name)
    if data is None:
        raise FileNotFoundError(f"longop/web/{name} is missing: the package is incomplete")
    return data.decode("utf-8")


def _embed_style(text: str) -> str:
    """Return CSS to stand in a ``<style>``; a ``<`` that could end it becomes a CSS escape."""
    text = _indent_with_tabs(_CSS_COMMENT.sub("", text))
    return _MARKUP.sub(r"\\3C ", text)


def _embed_script(text: str) -> str:
    """Return JavaScript to stand in a ``<script>``; a ``<`` that could end it is escaped.

    The escape means the same in a string, a template or a regular expression, and only there
    can such text stand.
    """
    text = _indent_with_tabs(_JS_COMMENT.sub("", text))
    return _MARKUP.sub(r"\\x3C", text)


def _indent_with_tabs(text: str) -> str:
    """Return the text with a tab for each two spaces: 2 kB less, and still easy to read."""
    return _INDENT.sub(lambda match: "\t" * (len(match[0]) // 2), text)
