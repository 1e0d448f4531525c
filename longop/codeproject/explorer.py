"""What CodeProject.AI Server's pages ask it for: its Explorer, and a module's ``explore.html``.

The scripts and styles that such a page loads are our own, in ``assets``.
"""

from __future__ import annotations

import os
import pkgutil
import re

from functools import partial
from socket import gethostname
from typing import Any, Callable

from .commands import Module
from ..errors import RequestError
from ..web.wire import Request, Response, json_response

_ASSETS = {"server.js": "text/javascript", "explorer.js": "text/javascript",
           "server.css": "text/css", "bootstrap-dark.min.css": "text/css"}
_POLICY = ("default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
           "media-src blob: data:; script-src 'self' 'unsafe-inline'; "
           "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'")


def views(modules: list[Module]) -> dict[str, Callable[[Request], Response]]:
    """Return what answers at which path."""
    found: dict[str, Callable[[Request], Response]] = {
        "/v1/module/list/running": lambda request: _reply(modules=[*map(_describe, modules)])}
    for path in ("/v1/status/ping", "/v1/server/status/ping", "/v1/server/status/version"):
        found[path] = _version
    for module in modules:
        path, file = page_of(module)
        if path:
            found[path] = partial(_show, module, file)
            for name, kind in _ASSETS.items():
                found[f"/assets/{name}"] = partial(_asset, name, kind)
            found["/assets/bootstrap.min.css"] = found["/assets/bootstrap-dark.min.css"]
            found["/assets/dashboard.css"] = found["/assets/server.css"]  # of older pages
            found["/favicon.ico"] = lambda request: Response(204)
    return found


def page_of(module: Module) -> tuple[str, str]:
    """Return the path and the file of a module's own page, or nothing if it has none."""
    runner = getattr(module, "runner", None)
    file = os.path.join(runner.module_path, "explore.html") if runner else ""
    return (f"/{module.id}/explore.html", file) if os.path.exists(file) else ("", "")


def _reply(**fields: Any) -> Response:
    return json_response({"success": True, **fields, "code": 200, "hostname": gethostname()})


def _version(request: Request) -> Response:
    from ..version import __version__

    major, minor, patch = (int(part) for part in __version__.split("."))
    return _reply(message=f"longop {__version__}", version={
        "major": major, "minor": minor, "patch": patch, "preRelease": "", "securityUpdate": False,
        "build": 0, "file": "", "releaseNotes": ""})


def _describe(module: Module) -> dict[str, Any]:
    """Return what the Explorer wants to know of a module."""
    parts = _parts(module)
    settings = getattr(module, "settings", None)
    known = [(one.path, one.name, one.command, one.description)
             for one in (settings.routes if settings else ())] or [
        (f"{module.id}/{one.name}", one.name, one.name, one.description)
        for one in module.operations]
    routes = [{"route": path, "name": name, "command": command, "description": description,
               "method": "POST", "inputs": [], "outputs": []}
              for path, name, command, description in known]
    return {"moduleId": module.id, "name": module.name, "version": module.version,
            "publishingInfo": {"category": ""},
            "launchSettings": {"queue": f"{module.id.lower()}_queue"},
            "uiElements": {"explorerUI": parts, "menus": []}, "routeMaps": routes}


def _read(module: Module, file: str) -> str:
    try:
        with open(file, encoding="utf-8-sig", errors="replace") as source:
            text = source.read()
    except OSError as error:
        raise RequestError(404, f"{module.id} has no page any more") from error
    text = text.replace("_MID_", re.sub("[^A-Za-z0-9]", "", module.id) + "_")
    return re.sub(r"https?://(?:localhost|127\.0\.0\.1)?:32168/", "/", text)


def _parts(module: Module) -> dict[str, str]:
    """Return what the Explorer shows of a module's page, which is between its marks."""
    _, file = page_of(module)
    text = _read(module, file) if file else ""
    marks = {"html": "<!-- {} EXPLORER MARKUP -->", "script": "// {} EXPLORER SCRIPT",
             "css": "/* {} EXPLORER STYLE */"}
    found = {}
    for name, mark in marks.items():
        begin, end = (re.escape(mark.format(word)) for word in ("START", "END"))
        match = re.search(f"{begin}(.*?){end}", text, re.S)
        found[name] = match[1] if match else ""
    return found


def _show(module: Module, file: str, request: Request) -> Response:
    return Response(200, _read(module, file).encode(), "text/html; charset=utf-8",
                    {"Content-Security-Policy": _POLICY})


def _asset(name: str, kind: str, request: Request) -> Response:
    data = pkgutil.get_data(__package__, f"assets/{name}") or b""
    return Response(200, data, f"{kind}; charset=utf-8")
