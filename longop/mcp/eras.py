"""The versions of the protocol, and what a request says of its client.

Since 2026-07-28 each request says so itself, in its ``_meta``. In the older eras the client
says it once, in ``initialize``; nothing of that is kept here: no answer depends on it.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from .message import (INVALID_PARAMS, MISSING_CAPABILITY, UNSUPPORTED_VERSION, Message,
                      RpcError)

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
SUPPORTED = (MODERN, *LEGACY)

#: The extension by which a call becomes a task.
TASKS = "io.modelcontextprotocol/tasks"

_PREFIX = "io.modelcontextprotocol/"
VERSION_KEY = f"{_PREFIX}protocolVersion"
_CAPABILITIES_KEY = f"{_PREFIX}clientCapabilities"
_CLIENT_KEY = f"{_PREFIX}clientInfo"
SERVER_KEY = f"{_PREFIX}serverInfo"


class Peer(NamedTuple):
    """The client that sent a request: the version it speaks, and what it can do."""

    version: str
    takes_tasks: bool = False

    @property
    def is_modern(self) -> bool:
        """True if it speaks 2026-07-28."""
        return self.version == MODERN

    def require_tasks(self) -> None:
        """Raise `RpcError` if the client does not know tasks."""
        if not self.takes_tasks:
            needed: dict[str, Any] = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
            raise RpcError(MISSING_CAPABILITY, f"declare the extension {TASKS}", needed)


def says_version(message: Message) -> bool:
    """Return whether a message names its version, as those of 2026-07-28 do."""
    return isinstance(message.meta, dict) and VERSION_KEY in message.meta


def check_meta(message: Message) -> None:
    """Raise `RpcError` if a modern request's ``_meta`` lacks a part, or has a wrong one."""
    meta = message.meta
    if not isinstance(meta, dict):
        raise RpcError(INVALID_PARAMS, f"params._meta must have {VERSION_KEY} and "
                                       f"{_CAPABILITIES_KEY}")
    _check_part(meta, VERSION_KEY, str, "a text")
    _check_part(meta, _CAPABILITIES_KEY, dict, "an object")
    if _CLIENT_KEY in meta:
        _check_part(meta, _CLIENT_KEY, dict, "an object")


def modern_peer(message: Message) -> Peer:
    """Return the client of a request that `check_meta` has let through.

    Raises `RpcError` for a version that is not supported.
    """
    meta: Mapping[str, Any] = message.meta
    version = meta[VERSION_KEY]
    if version != MODERN:
        raise unsupported(version)
    extensions = meta[_CAPABILITIES_KEY].get("extensions")
    takes_tasks = isinstance(extensions, dict) and isinstance(extensions.get(TASKS), dict)
    return Peer(version, takes_tasks)


def unsupported(version: str) -> RpcError:
    """Return the error for a version that is not spoken here."""
    return RpcError(UNSUPPORTED_VERSION, f"version {version} is not supported",
                    {"supported": list(SUPPORTED), "requested": version})


def progress_token(message: Message) -> str | int | None:
    """Return the token under which progress is wanted, or None; raise `RpcError`."""
    meta = message.meta
    if not isinstance(meta, dict) or meta.get("progressToken") is None:
        return None
    token = meta["progressToken"]
    if isinstance(token, str) or type(token) is int:
        return token
    raise RpcError(INVALID_PARAMS, "progressToken must be a string or an integer")


def _check_part(meta: Mapping[str, Any], key: str, kind: type, what: str) -> None:
    if not isinstance(meta.get(key), kind):
        raise RpcError(INVALID_PARAMS, f"params._meta must have {key}, {what}")
