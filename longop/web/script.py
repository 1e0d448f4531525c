"""JavaScript made small: without comments and spaces, and with short names.

It reads what Prettier writes, where each statement ends with a semicolon or a block. Of the
script it only has to know where each name comes from, so it keeps to three rules of its own: a
name that the script declares is nowhere also a global name of the browser's, what a parameter is
by default is no such name, and no `${...}` has braces or a template inside. No statement is empty.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from string import ascii_letters, ascii_lowercase, ascii_uppercase
from typing import Iterable, Iterator

# A string, a template, a comment, a word (or a part of a number), a regular expression, a sign.
# A `/` divides after a value, and begins a regular expression elsewhere.
_TOKEN = re.compile(
    r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`|//.*|[\w$]+"""
    r"|=>|\.\.\.|\?\.|\+\+|--"
    r"|(?:(?<![\w)\]] )|(?<=return ))/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*|\S")
_CODE_IN_TEXT = re.compile(r"(?<=\$\{)[^{}]*(?=\})")
_IS_NAME = re.compile(r"[^\W\d]\w*\Z|\$\Z")
_WORD = re.compile(r"[\w$]+")
_LETTER = re.compile(r"[\w$]")

_PARTNERS = {")": "(", "]": "[", "}": "{"}
_DECLARING = ("const", "let", "function")
# What stands before a brace that begins a block; before others there is an operator.
_BEFORE_BLOCK = frozenset([")", "=>", ";", "{", "}", "try", "catch", "finally",
                           "else", "do"])
_SHORT_KEYWORDS = {"do", "if", "in", "of"}


def shorten(script: str) -> str:
    """Return a script that does the same, in fewer characters."""
    tokens = _split(script)
    places = _Places(tokens)
    own = {tokens[place] for place in places.declared}
    taken = _SHORT_KEYWORDS | (set(tokens) - own)
    top = _top_names(tokens, places.shared, taken)
    short: list[str] = []
    for begin, end in places.statements:
        declared = [tokens[place] for place in range(begin, end) if place in places.declared]
        inner = [name for name in declared if name not in places.shared]
        names = {**_local_names(inner, taken), **top}
        short += _renamed(tokens[begin:end], places.roles[begin:end], names)
    return "".join(_spaced(short))


def _split(script: str) -> list[str]:
    """Return the tokens of a script without its comments."""
    return [token for token in _TOKEN.findall(script) if not token.startswith("//")]


class _Places:
    """Where in a script is what; places are indexes of tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._begins: dict[int, int] = {}  # where a bracket closes -> where it was opened
        self._ends: dict[int, int] = {}  # the other way round
        #: What each token is: "name", "key" of an object, "both" in one, or "".
        self.roles: list[str] = []
        #: Where each statement begins and ends that stands in nothing else.
        self.statements: list[tuple[int, int]] = []
        self._read()
        #: Where a name is declared.
        self.declared = set(filter(self._is_declaration, self._find_declared()))
        #: The names that all statements share.
        self.shared = {tokens[place] for place in self.declared.intersection(self._find_shared())}

    def _read(self) -> None:
        opened: list[int] = []
        begin = 0
        for place, token in enumerate(self._tokens):
            self.roles.append(self._role(place, opened))
            if token in ("(", "[", "{"):
                opened.append(place)
            elif token in _PARTNERS:
                self._begins[place] = opened.pop()
                self._ends[self._begins[place]] = place
            if token in (";", "}") and not opened:
                self.statements.append((begin, place + 1))
                begin = place + 1
        self.statements.append((begin, len(self._tokens)))

    def _at(self, place: int) -> str:
        return self._tokens[place] if 0 <= place < len(self._tokens) else ""

    def _role(self, place: int, opened: list[int]) -> str:
        before, after = self._at(place - 1), self._at(place + 1)
        if not _IS_NAME.match(self._tokens[place]) or before in (".", "?."):
            return ""
        if opened and before in ("{", ",") and self._is_object(opened[-1]):
            if after in (",", "}", "="):
                return "both"
            if after in (":", "("):
                return "key"
        return "name"

    def _is_object(self, place: int) -> bool:
        return self._tokens[place] == "{" and self._at(place - 1) not in _BEFORE_BLOCK

    def _find_declared(self) -> Iterator[int]:
        """Yield the places of names that are declared, with some of what is no name."""
        for place, token in enumerate(self._tokens):
            if token in _DECLARING:
                yield place + 1
                yield from self._inside(place + 1)
            if token == "function":
                yield from self._inside(place + 2)
            if token == "catch" and self._at(place + 1) == "(":
                yield place + 2
            if token == "=>":
                yield place - 1
                yield from self._inside(self._begins.get(place - 1, place))

    def _is_declaration(self, place: int) -> bool:
        # What follows a `=` is what a parameter is by default.
        is_default = self._at(place - 1) == "="
        return self.roles[place] in ("name", "both") and not is_default

    def _inside(self, place: int) -> Iterable[int]:
        return range(place + 1, self._ends.get(place, place))

    def _find_shared(self) -> Iterator[int]:
        for begin, _ in self.statements:
            first = begin + (self._at(begin) == "async")
            if self._at(first) in _DECLARING:
                yield first + 1
                yield from self._inside(first + 1)


def _top_names(tokens: list[str], names: set[str], taken: set[str]) -> dict[str, str]:
    """Return short names for those that statements share, the shortest for the most frequent."""
    uses = Counter(_WORD.findall("\n".join(tokens)))
    ordered = sorted(names, key=lambda name: (-uses[name], name))
    return dict(zip(ordered, _free(taken, ascii_uppercase, ascii_letters)))


def _local_names(names: list[str], taken: set[str]) -> dict[str, str]:
    """Return short names for those of one statement, in the order in which they come."""
    return dict(zip(dict.fromkeys(names), _free(taken, ascii_lowercase, "_")))


def _free(taken: set[str], single: str, first: str) -> Iterator[str]:
    """Yield single letters, then pairs, that are not taken."""
    pairs = map("".join, itertools.product(first, ascii_letters))
    return (name for name in itertools.chain(single, pairs) if name not in taken)


def _renamed(tokens: list[str], roles: list[str], names: dict[str, str]) -> Iterator[str]:
    for token, role in zip(tokens, roles):
        short = names.get(token, token)
        if token.startswith("`"):
            yield _CODE_IN_TEXT.sub(lambda match: _rename_code(match[0], names), token)
        elif token == "const":
            yield "let"
        elif role == "name":
            yield short
        elif role == "both" and short != token:
            yield f"{token}:{short}"
        else:
            yield token


def _rename_code(code: str, names: dict[str, str]) -> str:
    """Return the code in a template with other names."""
    tokens = _split(code)
    return "".join(_spaced([*_renamed(tokens, _Places(tokens).roles, names)]))


def _spaced(tokens: list[str]) -> Iterator[str]:
    """Yield the tokens with the spaces they need, and without the signs they do not need."""
    before = ""
    for token, after in zip(tokens, [*tokens[1:], ""]):
        if (token == ";" and after == "}") or (token == "," and after in _PARTNERS):
            continue
        if _must_part(before, token):
            yield " "
        yield token
        before = token


def _must_part(before: str, token: str) -> bool:
    """Return whether two tokens would become another one without a space: ``a b``, ``+ +x``."""
    if token[0] in "+-":
        return before[-1:] == token[0]
    return bool(_LETTER.match(token) and _LETTER.match(before[-1:]))
