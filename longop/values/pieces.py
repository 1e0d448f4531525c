"""A large value as JSON text, piece by piece.

The json module encodes a value in one call, and holds the interpreter until it has: no other
thread runs, wherever that call is made. Between two pieces the others have their turn.
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator

from .jsontext import MAX_DEPTH, copy_of, dumps, plain

SHORT = 65_536  # characters; a longer text is encoded piece by piece
_MOST_PARTS = 1_000  # that are looked at: a value with more of them is taken for a long one
_STEP = 400  # items of a piece
_NUMBER = 24  # characters of the longest float, about


def is_short(value: Any, most: int = SHORT) -> bool:
    """Return whether a value's JSON text is surely not much longer than ``most`` characters.

    It costs little, whatever the value is: at most 1,000 parts are looked at, and what is not
    of JSON's own types is not asked.
    """
    room: float = most
    parts = 1
    todo = [value]
    while todo:
        item = todo.pop()
        inner = _inner_of(item)
        room -= _length_of(item)
        parts += len(inner)
        if room < 0 or parts > _MOST_PARTS:
            return False
        todo += inner
    return True


def pieces(value: Any, above: tuple[int, ...] = ()) -> Iterator[str]:
    """Yield the text that `jsontext.dumps` returns, in pieces; raise nothing.

    :param above: the ``id`` of each object that contains this one.
    """
    if is_short(value) or id(value) in above or len(above) > MAX_DEPTH:
        yield dumps(value, above)
        return
    # The value itself is kept until the end: another object must not get its id.
    inside = (*above, id(value))
    parts = value
    if isinstance(value, dict):
        parts = copy_of(dict, value)
    elif isinstance(value, (list, tuple)):
        parts = copy_of(list, value)
    if isinstance(parts, str):
        yield from _pieces_of_text(str.__str__(parts))  # of a class of its own, perhaps
    elif type(parts) is dict:
        yield from _join(_parts_of_dict(parts, inside), "{}")
    elif type(parts) is list:
        yield from _join(_parts_of_list(parts, inside), "[]")
    elif isinstance(parts, (int, float)):  # a number with very many digits
        yield dumps(parts, above)
    else:
        yield from pieces(plain(parts), inside)


def _length_of(item: Any) -> float:
    """Return about how many characters an item takes, without what it contains."""
    if isinstance(item, str):
        return str.__len__(item) + 3
    if isinstance(item, int):
        return int.bit_length(item) // 3 + 2
    if item is None or isinstance(item, (float, list, tuple, dict)):
        return _NUMBER
    if isinstance(item, bytes):
        return len(item) * 4 // 3
    return float("inf")  # it may become anything


def _inner_of(item: Any) -> Any:
    """Return what an item contains, as it is now, if that is little; else something as long."""
    kind = type(item)
    if kind is list or kind is tuple:
        return item if len(item) > _MOST_PARTS else list(item)
    if kind is dict:
        return range(len(item)) if len(item) > _MOST_PARTS else [*item, *item.values()]
    if isinstance(item, (list, tuple, dict)):  # of a class that may do anything when it is asked
        return range(_MOST_PARTS)
    return ()


def _pieces_of_text(text: str) -> Iterator[str]:
    yield '"'
    for start in range(0, len(text), SHORT):
        yield dumps(text[start:start + SHORT])[1:-1]
    yield '"'


def _join(parts: Iterable[Iterable[str]], brackets: str) -> Iterator[str]:
    """Yield parts with a comma between two of them, in brackets."""
    before = brackets[0]
    for part in parts:
        yield before
        yield from part
        before = ","
    yield brackets if before != "," else brackets[1]


def _parts_of_list(items: list[Any], inside: tuple[int, ...]) -> Iterator[Iterable[str]]:
    for start in range(0, len(items), _STEP):
        step = items[start:start + _STEP]
        if is_short(step):
            yield [dumps(step, inside)[1:-1]]
            continue
        for item in step:
            yield pieces(item, inside)


def _parts_of_dict(fields: dict[Any, Any], inside: tuple[int, ...]) -> Iterator[Iterable[str]]:
    items = [*fields.items()]
    for start in range(0, len(items), _STEP):
        step = dict(items[start:start + _STEP])
        if is_short(step):
            yield [dumps(step, inside)[1:-1]]
            continue
        for key, item in step.items():
            yield _pieces_of_field(key, item, inside)


def _pieces_of_field(key: Any, item: Any, inside: tuple[int, ...]) -> Iterator[str]:
    yield dumps({key: None}, inside)[1:-len("null}")]
    yield from pieces(item, inside)
