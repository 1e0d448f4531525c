"""The tools that a client may call: the operations, or, for clients without tasks, their jobs.

An operation is one tool, which answers with the result; or three, which answer at once.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, Iterable, Mapping, NamedTuple

from ..operation import LongOperation
from ..signature import unwrap_partial
from ..status import Status
from ..values.annotations import annotations_of, evaluate
from ..values.conversion import kind_of

# What every client takes: the specification also allows dots, and 128 characters.
_NOT_IN_NAMES = re.compile("[^A-Za-z0-9_-]")
_LONGEST_NAME = 64

#: A tool that starts its operation and answers with the result.
CALL = "call"
#: Tools that start a job, tell how it is doing, and cancel it.
START, STATUS, CANCEL = "start", "status", "cancel"


class Tool(NamedTuple):
    """A tool: what it is for, and the operation that it is about."""

    name: str
    kind: str
    operation: LongOperation
    description: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None = None

    def is_of(self, status: Status) -> bool:
        """Return whether a job is one of the tool's operation, which may share its history."""
        operation = self.operation
        return (status.module, status.operation) == (operation.module, operation.name)

    def describe(self) -> dict[str, Any]:
        """Return the tool as ``tools/list`` shows it."""
        described = {"name": self.name, **self.description}
        if self.output_schema is not None:
            described["outputSchema"] = self.output_schema
        return described


def tools_of(operations: Iterable[LongOperation], as_jobs: bool = False) -> dict[str, Tool]:
    """Return the tools of operations, by name.

    :param as_jobs: three tools for each operation, ``start_NAME``, ``status_NAME`` and
        ``cancel_NAME``, instead of one.
    """
    make = _job_tools if as_jobs else _call_tools
    names = _names_of(list(operations))
    found = [tool for name, operation in names.items() for tool in make(name, operation)]
    return {tool.name: tool for tool in found}


# Names


def _names_of(operations: list[LongOperation]) -> dict[str, LongOperation]:
    """Return a name for each operation: its own, or ``module_name`` if two share that."""
    plain = [_clean(operation.name) for operation in operations]
    names: dict[str, LongOperation] = {}
    for name, operation in zip(plain, operations):
        if plain.count(name) > 1:
            name = _clean(f"{operation.module}_{operation.name}")
        names[_free(name, names)] = operation
    return names


def _clean(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)[:_LONGEST_NAME - len(f"{STATUS}_")] or "_"


def _free(name: str, taken: Mapping[str, Any]) -> str:
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


# Descriptions


def _call_tools(name: str, operation: LongOperation) -> list[Tool]:
    description = _describe(operation, operation.description)
    description["inputSchema"] = operation.signature.schema()
    return [Tool(name, CALL, operation, description, _output_schema(operation))]


def _job_tools(name: str, operation: LongOperation) -> list[Tool]:
    about = operation.description
    start = _describe(operation, f"Start this and return the job's id at once: {about}", START)
    start["inputSchema"] = operation.signature.schema()
    status = _describe(operation, f"Tell how a job of {operation.name} is doing, and its "
                                  "result once it has ended.", STATUS)
    status["inputSchema"] = _STATUS_SCHEMA
    status["annotations"] = {"readOnlyHint": True, "openWorldHint": False}
    cancel = _describe(operation, f"Cancel a job of {operation.name}: its code stops.", CANCEL)
    cancel["inputSchema"] = _JOB_SCHEMA
    cancel["annotations"] = {"readOnlyHint": False, "idempotentHint": True,
                             "openWorldHint": False}
    described = {START: start, STATUS: status, CANCEL: cancel}
    return [Tool(f"{kind}_{name}", kind, operation, described[kind]) for kind in described]


def _describe(operation: LongOperation, text: str, verb: str = "") -> dict[str, Any]:
    title = f"{verb} {operation.name.replace('_', ' ')}".strip()
    described: dict[str, Any] = {"title": title[:1].upper() + title[1:]}
    if text:
        described["description"] = text
    return described


def _output_schema(operation: LongOperation) -> Mapping[str, Any] | None:
    """Return the schema of what a function returns, if that is surely an object."""
    function: Any = inspect.unwrap(unwrap_partial(operation.function))
    if not inspect.isroutine(function):
        return None
    hints = evaluate(annotations_of(function), getattr(function, "__globals__", {}))
    wanted = hints.get("return")
    if isinstance(wanted, type) and issubclass(wanted, tuple):
        return None  # JSON shows a named tuple as a list
    schema = kind_of(wanted).schema
    return schema if schema.get("type") == "object" else None


_JOB_SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "string", "description": "the job, as start returned it"}},
    "required": ["id"],
    "additionalProperties": False,
}
_STATUS_SCHEMA = {
    **_JOB_SCHEMA,
    "properties": {
        **_JOB_SCHEMA["properties"],  # type: ignore[dict-item]
        "wait": {"type": "number", "minimum": 0, "maximum": 60, "default": 0,
                 "description": "seconds to wait for the job's end before answering"},
    },
}
