"""What CodeProject's pages ask for: its Explorer, and a module's own ``explore.html``.

The scripts and styles that such a page loads are ours, in ``assets``.
"""

from __future__ import annotations

import os
import pkgutil
import re
from functools import partial
from socket import gethostname
from typing import Any, Mapping, Sequence

from ..errors import RequestError
from ..wings import __version__
from ..web.request import Request
from ..web.routes import View
from ..web.wire import Response, json_response
from .module import Module

_JAVASCRIPT = "text/javascript; charset=utf-8"
_CSS = "text/css; charset=utf-8"
#: By the path that a page asks for: our file, and its content type.
_ASSETS = {
    "/assets/server.js": ("server.js", _JAVASCRIPT),
    "/assets/explorer.js": ("explorer.js", _JAVASCRIPT),
    "/assets/server.css": ("server.css", _CSS),
    "/assets/bootstrap-dark.min.css": ("bootstrap-dark.min.css", _CSS),
    # Older pages ask for these.
    "/assets/bootstrap.min.css": ("bootstrap-dark.min.css", _CSS),
    "/assets/dashboard.css": ("server.css", _CSS),
}
_VERSION_PATHS = ("/v1/status/ping", "/v1/server/status/ping", "/v1/server/status/version")
# A page may run scripts of its own, but may reach nothing but this server.
_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' blob: data:; "
    "media-src blob: data:; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: What the Explorer cuts out of a module's page, and the mark around each; {} is START or END.
_PARTS = {
    "html": "<!-- {} EXPLORER MARKUP -->",
    "script": "// {} EXPLORER SCRIPT",
    "css": "/* {} EXPLORER STYLE */",
}
_SERVER_ADDRESS = r"https?://(?:localhost|127\.0\.0\.1)?:32168/"


def views(modules: Sequence[Module]) -> dict[str, View]:
    """Return what answers a GET, by its path."""
    found: dict[str, View] = {"/v1/module/list/running": partial(_list_running, modules)}
    found.update(dict.fromkeys(_VERSION_PATHS, _show_version))
    with_page = [module for module in modules if has_page(module)]
    for module in with_page:
        found[page_path(module)] = partial(_show_page, module)
    if with_page:
        for path, (name, content_type) in _ASSETS.items():
            found[path] = partial(_show_asset, name, content_type)
        found["/favicon.ico"] = _show_no_icon
    return found


def has_page(module: Module) -> bool:
    """Return whether a module has a page of its own now."""
    return bool(module.folder) and os.path.exists(_page_file(module))


def page_path(module: Module) -> str:
    """Return the path at which a module's page is served, if it has one."""
    return f"/{module.id}/explore.html"


# Views


def _list_running(modules: Sequence[Module], request: Request) -> Response:
    return _reply(modules=[_describe(module) for module in modules])


def _show_version(request: Request) -> Response:
    major, minor, patch = (int(part) for part in __version__.split("."))
    version = {
        "major": major,
        "minor": minor,
        "patch": patch,
        "preRelease": "",
        "securityUpdate": False,
        "build": 0,
        "file": "",
        "releaseNotes": "",
    }
    return _reply(message=f"longop {__version__}", version=version)


def _show_page(module: Module, request: Request) -> Response:
    # Read each time: the author of a page tries it while writing it.
    page = _read_page(module).encode()
    headers = {"Content-Security-Policy": _POLICY}
    return Response(200, page, "text/html; charset=utf-8", headers)


def _show_asset(name: str, content_type: str, request: Request) -> Response:
    data = pkgutil.get_data(__package__, f"assets/{name}") or b""  # from a zip too
    return Response(200, data, content_type)


def _show_no_icon(request: Request) -> Response:
    return Response(204)


def _reply(**fields: Any) -> Response:
    return json_response({"success": True, **fields, "code": 200, "hostname": gethostname()})


# A module, as the Explorer knows it


def _describe(module: Module) -> dict[str, Any]:
    """Return what the Explorer reads of a module; all of it must be there."""
    return {
        "moduleId": module.id,
        "name": module.name,
        "version": module.settings.version,
        "publishingInfo": {"category": module.settings.category},
        "launchSettings": {"queue": f"{module.id.lower()}_queue"},
        "uiElements": {"explorerUI": _cut_page(module), "menus": []},
        "routeMaps": _describe_routes(module),
    }


def _describe_routes(module: Module) -> list[Mapping[str, Any]]:
    """Return the routes in a module's settings, or else one for each operation."""
    found = [(route.path, route.name, route.command, route.description)
             for route in module.settings.routes]
    if not found:
        found = [(f"{module.id}/{operation.name}", operation.name, operation.name,
                  operation.description) for operation in module.operations]
    return [{
        "route": path,
        "name": name,
        "command": command,
        "description": description,
        "method": "POST",
        "inputs": [],
        "outputs": [],
    } for path, name, command, description in found]


def _cut_page(module: Module) -> dict[str, str]:
    """Return the parts of a module's page that the Explorer shows, or empty texts."""
    text = _read_page(module) if has_page(module) else ""
    return {name: _cut(text, mark) for name, mark in _PARTS.items()}


def _cut(text: str, mark: str) -> str:
    start = re.escape(mark.format("START"))
    end = re.escape(mark.format("END"))
    match = re.search(f"{start}(.*?){end}", text, re.DOTALL)
    return match[1] if match else ""


def _read_page(module: Module) -> str:
    """Return a module's page with its own prefix, and with our address for CodeProject's.

    That is relative to the page's own, because a proxy may put a path before both.
    """
    try:
        with open(_page_file(module), encoding="utf-8-sig", errors="replace") as source:
            text = source.read()
    except OSError as error:
        raise RequestError(404, f"the page of {module.id} is gone") from error
    prefix = re.sub("[^A-Za-z0-9]", "", module.id) + "_"
    return re.sub(_SERVER_ADDRESS, "../", text.replace("_MID_", prefix))


def _page_file(module: Module) -> str:
    return os.path.join(module.folder, "explore.html")
