"""The tables of README and docs/ have all that there is, and nothing else."""

import ast
import dataclasses
import inspect
import json
import re
import subprocess
import sys

import longop

from .documents import DOCUMENTS, README, ROOT, rows

HTTP = DOCUMENTS["docs/http.md"]
SERVE = DOCUMENTS["docs/serve.md"]


def test_options():
    """The README's table has each option of `LongOperation`, and its default."""
    known = inspect.signature(longop.LongOperation.__init__).parameters
    shown = {option.strip("` "): default for option, default, _ in rows(README, "option")}
    assert {*shown} == {*known} - {"self", "function", "owner", "clock"}
    for name, default in shown.items():
        if default.isdigit():
            assert float(default) == known[name].default
        elif default.startswith("`"):
            assert ast.literal_eval(default.strip("`")) == known[name].default
        else:
            assert known[name].default is None


def test_handler_attributes():
    """docs/embedding.md has the attributes of `longop.Handler`."""
    for name, *_ in rows(DOCUMENTS["docs/embedding.md"], "class attribute"):
        assert hasattr(longop.Handler, name.strip("` ")) or (
            name.strip("` ") in longop.Handler.__annotations__)


def test_server_options():
    """docs/serve.md has each option of ``longop serve``, and no other."""
    done = subprocess.run([sys.executable, "-m", "longop.serve", "--help"], cwd=str(ROOT),
                          check=True, stdout=subprocess.PIPE, text=True)
    tables = [row[0] for row in rows(SERVE, "option")]
    tables += [row[1] for row in rows(SERVE, "limit")]
    options = set(re.findall(r"--[a-z-]+", done.stdout)) - {"--help"}
    assert set(re.findall(r"--[a-z-]+", " ".join(tables))) == options


def test_limits():
    """docs/serve.md has the limits and their defaults."""
    shown = {}
    for _, flag, default, _ in rows(SERVE, "limit"):
        name = flag.strip("`-").replace("-", "_")
        shown[name] = float(default.split()[0].replace(",", ""))
    assert shown == {field.name: field.default for field in dataclasses.fields(longop.Limits)}


def test_errors():
    """docs/http.md has each error that a request can meet, with its status."""
    text = (ROOT / "longop" / "web" / "openapi.json").read_text(encoding="utf-8")
    described = json.loads(text)["components"]["responses"]
    for status, cell, _ in rows(HTTP, "status"):
        kind = cell.strip("`")
        assert kind in described
        if kind not in ("Busy", "RequestError"):  # these have several
            assert getattr(longop, kind).status == int(status)


def test_routes():
    """Every route in the table is one of the API's."""
    from longop.web.api import Api

    api = Api([longop.LongOperation(lambda callback: 1, name="operation")])
    api._operations[0].module = "module"
    api = Api(api._operations)
    routes = re.findall(r"^\| (`(?:GET|POST|DELETE).*?`) \|", HTTP, re.M)
    assert len(routes) > 9
    for methods, path in re.findall(r"`([A-Z][\w ]*) (/[^`]*)`", " ".join(routes)):
        for method in methods.split(" or "):
            assert method in api._find_route(re.sub(r"<(\w+)>", r"\1", path)).views, path
