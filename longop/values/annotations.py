"""The annotations of a function or a class, each evaluated by itself; unknown ones are ignored.

An annotation may have a name that is there for a type checker only (``TYPE_CHECKING``), or a
syntax that this Python does not know. Where it is text, as with ``from __future__ import
annotations``, that shows when the text is evaluated. Since Python 3.14 none is evaluated before
somebody asks, and then such a name fails the whole lot, unless it is asked for with a `Format`
that makes do. So nothing else in longop looks at ``__annotations__`` or calls
``inspect.signature``.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
import typing
from typing import Any, Callable, Mapping

if sys.version_info >= (3, 14):
    import annotationlib


def annotations_of(thing: Any) -> Mapping[str, Any]:
    """Return what a function or a class itself has, by name, as it can be had: not evaluated."""
    if sys.version_info >= (3, 14):
        # The second one evaluates no name at all, for what fails in any other way.
        for format in (annotationlib.Format.FORWARDREF, annotationlib.Format.STRING):
            with contextlib.suppress(Exception):
                return annotationlib.get_annotations(thing, format=format)
        return {}
    if isinstance(thing, type):  # up to Python 3.9, `getattr` gives a base's
        own: Mapping[str, Any] = vars(thing).get("__annotations__", {})
        return own
    return getattr(thing, "__annotations__", {})


def evaluate(annotations: Mapping[str, Any], space: Mapping[str, Any]) -> dict[str, Any]:
    """Return annotations, evaluated with some globals; those that cannot be are left out.

    One that is known in part only, such as ``Optional[Unknown]``, is left out too.
    """
    hints: dict[str, Any] = {}
    for name, hint in annotations.items():
        with contextlib.suppress(Exception):
            # Twice, because Python 3.8 leaves a text that is inside of a text.
            hints[name] = _evaluate(_evaluate(hint, space), space)
    return hints


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function, whose annotations say nothing here.

    Raises ``ValueError`` if it does not tell its parameters, as some written in C, and
    ``TypeError`` if it cannot have any.
    """
    if sys.version_info >= (3, 14):
        try:
            return inspect.signature(function, annotation_format=annotationlib.Format.STRING)
        except (TypeError, ValueError):
            raise
        except Exception as error:  # no name fails, but ``1 / 0`` does
            raise TypeError(f"{function!r} has an annotation that raises {error!r}") from error
    return inspect.signature(function)


def _evaluate(hint: Any, space: Mapping[str, Any]) -> Any:
    one = types.SimpleNamespace(__annotations__={"it": hint}, __globals__=space)
    return typing.get_type_hints(one)["it"]
