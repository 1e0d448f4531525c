"""What an adapter says of its long command, as a report to the job.

    command_status() ── {"reply": "It was", "current_step": 3, "steps": 20} ──▶
                        result "It was", step 3, total 20

Adapters have no common words for this: these are the ones in public modules. What is said in
other words is the partial result. CodeProject's own clients get all of it as it is.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

_STEPS = ("step", "current_step")
_TOTALS = ("total", "steps", "total_steps", "num_steps")
#: What CodeProject's SDK puts into each status itself, and what is no result.
_KNOWN = ("success", "error", "message", "code", "command", "commandId", "commandStatus",
          "moduleId", "moduleName", "requestId", "inferenceDevice", "stop_reason", "processMs",
          "inferenceMs")


class Said(NamedTuple):
    """The parts of a report. What is None was not said."""

    result: Any = None
    step: Any = None
    total: Any = None
    message: Any = None


def read(status: Mapping[str, Any]) -> Said:
    """Return what a ``command_status()`` says."""
    rest = {name: value for name, value in status.items()
            if name not in _KNOWN and value is not None}
    step = _take(rest, _STEPS)
    total = _take(rest, _TOTALS)
    if _is_number(rest.get("progress")):
        percent = _percent(rest.pop("progress"))
        if step is None:
            step, total = percent, 100
    message = status.get("message") or status.get("error")
    return Said(_result_of(rest), step, total, message)


def differ(old: Any, new: Any) -> bool:
    """Return whether two values differ; those that cannot be compared do."""
    try:
        return bool(old != new)
    except Exception:  # arrays, for example, have no single answer
        return True


def _take(rest: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Remove the number that has one of these names, and return it; or None.

    The first name is longop's own word: under it, anything counts.
    """
    for name in names:
        if (name == names[0] and name in rest) or _is_number(rest.get(name)):
            return rest.pop(name)
    return None


def _percent(progress: float) -> float:
    """Return a progress in percent. A float up to 1 is a fraction; 1 as an integer is 1 %."""
    if isinstance(progress, float) and progress <= 1:
        return round(progress * 100, 3)
    return progress


def _result_of(rest: Mapping[str, Any]) -> Any:
    """Return the partial result: what is left, or the text or ``result`` that alone is left."""
    if not rest:
        return None
    name, *others = rest
    if not others and (name == "result" or isinstance(rest[name], str)):
        return _copy(rest[name])  # a text alone is shown, and sent, as it grows
    return _copy(rest)


def _copy(value: Any) -> Any:
    """Return a value whose lists and dicts are copies: the adapter may go on filling its own."""
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in list(value.items())}
    if isinstance(value, (list, tuple)):
        return [_copy(item) for item in list(value)]
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
