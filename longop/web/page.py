"""The page, put together when it is served."""

from __future__ import annotations

import os
import pkgutil
import re

from .wire import Request, Response


def show(request: Request) -> Response:
    """Answer the page, in which no script runs but its own, and which can load nothing else."""
    page = pkgutil.get_data(__package__, "page.html") or b""  # from a zip too
    nonce = os.urandom(16).hex()
    page = re.sub(rb"<(script|style)>", rb'<\1 nonce="%b">' % nonce.encode(), page)
    policy = (f"default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
              f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; base-uri 'none'; "
              "form-action 'none'; frame-ancestors 'none'")
    return Response(200, page, "text/html; charset=utf-8",
                    {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"})
