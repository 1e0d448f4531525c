"""What a job has come to, as the result of a tool: content for the model, and data.

    Status ── result_of ──▶ {"content": [...], "structuredContent": {...}, "isError": ...}

Knows nothing of messages.
"""

from __future__ import annotations

import re
from typing import Any, Mapping

from ..status import State, Status
from ..values.jsontext import dumps, loads

# A picture or a sound, as a function returns it for the page (RFC 2397).
_MEDIA = re.compile(r"data:((image|audio)/[\w.+-]+);base64,")
_NOTHING = "(no result)"


def result_of(status: Status, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the result of a job that has ended.

    An error comes first, then what was reported until then.

    :param schema: the ``outputSchema`` of the tool, if it has one.
    """
    if status.state is not State.COMPLETED:
        return _error_of(status)
    value = loads(dumps(status.result))
    result: dict[str, Any] = {"content": content_of(value), "isError": False}
    if schema is not None and not _conforms(value, schema):
        text = "the result is not what the annotation of the function says; it is:"
        return {"content": [_text(text), *content_of(value)], "isError": True}
    if isinstance(value, dict):
        result["structuredContent"] = value
    return result


def content_of(value: Any) -> list[dict[str, Any]]:
    """Return a value of JSON as content: text, pictures and sounds.

    A list with a picture or a sound in it becomes one piece of content for each item.
    """
    if isinstance(value, list) and any(_is_media(item) for item in value):
        return [_block_of(item) for item in value]
    return [_block_of(value)]


def error_result(text: str) -> dict[str, Any]:
    """Return the result of a call that could not even start; the model may do better."""
    return {"content": [_text(text)], "isError": True}


def _error_of(status: Status) -> dict[str, Any]:
    content = [_text(status.error or status.state.value)]
    if status.result is not None:
        content += content_of(loads(dumps(status.result)))
    return {"content": content, "isError": True}


def _block_of(value: Any) -> dict[str, Any]:
    if not isinstance(value, str):
        return _text(_NOTHING if value is None else dumps(value))
    media = _MEDIA.match(value)
    if media is None:
        return _text(value)
    return {"type": media[2], "data": value[media.end():], "mimeType": media[1]}


def _is_media(value: Any) -> bool:
    return isinstance(value, str) and _MEDIA.match(value) is not None


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _conforms(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether a result is an object with all that the schema requires."""
    if not isinstance(value, dict):
        return False
    return all(name in value for name in schema.get("required", ()))
