"""The browser page: ``page.html``, ``page.css`` and ``page.js``, served as one document.

The three files are formatted with ``npx prettier --print-width 100``; nothing else builds them.
``page.html`` names the other two, so it also works unassembled, from any static file server.
"""

from __future__ import annotations

import os
import pkgutil
import re
from functools import lru_cache

from .wire import Request, Response

_STYLE_LINK = '<link rel="stylesheet" href="page.css" />'
_SCRIPT_LINK = '<script type="module" src="page.js"></script>'

# Comments are for readers of the source. One behind a statement is left out only if it has no
# quotes: so a `//` inside a string is never taken for one.
_CSS_COMMENT = re.compile(r"(?m)^ */\*.*\*/\n+| +/\*.*\*/$")
_JS_COMMENT = re.compile(r"(?m)^ *//.*\n+| +// [^\"'`\n]*$")
_INDENT = re.compile("(?m)^(?:  )+")

# What would end the element, or keep its end from being seen, wherever in the text it stands.
# HTML Standard, "Restrictions for contents of script elements".
_MARKUP = re.compile("<(?=!--|/?script|/style)", re.IGNORECASE)


def show(request: Request) -> Response:
    """Answer with the page. Only its own script can run, and it can load nothing else.

    The nonce that says which script and style are its own is new in each answer.
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
    """Return the document without its two nonces, split where they go."""
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
    """Return one of the files, also when the package is in a zip."""
    data = pkgutil.get_data("longop.web", name)
    if data is None:
        raise FileNotFoundError(f"longop/web/{name} is missing: the package is incomplete")
    return data.decode("utf-8")


def _embed_style(text: str) -> str:
    """Return CSS that nothing in it can turn into markup: ``<`` is written as ``\\3C``."""
    text = _indent_with_tabs(_CSS_COMMENT.sub("", text))
    return _MARKUP.sub(r"\\3C ", text)


def _embed_script(text: str) -> str:
    """Return JavaScript that nothing in it can turn into markup: ``<`` is written as ``\\x3C``.

    That is the same in a string, a template or a regular expression, where such text can stand.
    """
    text = _indent_with_tabs(_JS_COMMENT.sub("", text))
    return _MARKUP.sub(r"\\x3C", text)


def _indent_with_tabs(text: str) -> str:
    """Halve the indentation's bytes; the page stays readable in a browser's source view."""
    return _INDENT.sub(lambda match: "\t" * (len(match[0]) // 2), text)
