"""`longop.web.parameters`: the parameters of a request."""

import json
import urllib.parse

import pytest

from longop.errors import BadParameters, RequestError
from longop.values.given import Bounds, bounded
from longop.web.limits import Limits
from longop.web.parameters import numbers

from ..memory import peak_below
from .requests import found, request, status_of


FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@pytest.mark.parametrize(("query", "expected"), [
    ("", {}), ("a=1", {"a": ["1"]}), ("a=1&b=2&a=3", {"a": ["1", "3"], "b": ["2"]}),
    ("a=&b", {"a": [""], "b": [""]}), ("a=%C3%A9+x%2B%26", {"a": ["\u00e9 x+&"]}),
    ("a=b=c;d", {"a": ["b=c;d"]}), ("a%20b=1", {"a b": ["1"]}), ("&&a=1&", {"a": ["1"]}),
    ("a=%zz", {"a": ["%zz"]})])
def test_query_and_form(query, expected):
    """A query, and a form that is encoded as one, are texts by name."""
    assert found(b"", None, query) == expected
    assert found(query, FORM) == expected
    assert found(query, FORM.upper() + "; charset=utf-8") == expected


def test_query_and_body_together():
    """Parameters of the query come before those of the body."""
    assert found("a=2&b=3", FORM, "a=1&c=4") == {"a": ["1", "2"], "c": ["4"], "b": ["3"]}
    assert found('{"a": 2}', JSON, "a=1") == {"a": ["1", 2]}


@pytest.mark.parametrize("kind", [
    JSON, "Application/JSON; charset=utf-8", "application/x+json"])
def test_json(kind):
    """Values of JSON keep their types; an empty body of any type has no parameters."""
    assert found('{"a": 1, "b": [1, 2], "c": null, "d": "\u00e9", "e": {"f": 1.5}}', kind) == {
        "a": [1], "b": [[1, 2]], "c": [None], "d": ["\u00e9"], "e": [{"f": 1.5}]}
    assert found(b"", kind) == found(b"", "text/plain") == found(b"", None) == {}


@pytest.mark.parametrize(("body", "kind", "status"), [
    *[(body, JSON, 400) for body in (
        " ", "[1]", "1", '"a"', "null", "{", "{'a': 1}", '{"a": 1} x', '{"a": 01}',
        b'{"a": "\xff"}', b'\xef\xbb\xbf{"a": 1}', '{"a": ' + "[" * 100_000,
        '{"a": ' + "9" * 5000 + "}", '{"a": NaN}', '{"a": -Infinity}')],
    (b"a=\xff", FORM, 400),
    *[(b"a=1", kind, 415) for kind in (
        None, "text/plain", "json", "", "multipart/mixed; boundary=a", "application/jsonx")],
], ids=lambda value: ascii(value)[:40])
def test_body_that_is_refused(body, kind, status):
    """Invalid JSON, JSON that is no object, text not in UTF-8, and other types are refused."""
    assert status_of(found, body, kind) == status


def test_depth():
    """A value of JSON may be ``max_depth`` levels deep, and not one more."""
    with bounded(Bounds(depth=100)):
        assert found('{"a": ' + "[" * 100 + "1" + "]" * 100 + "}", JSON)
        assert status_of(found, '{"a": ' + "[" * 101 + "]" * 101 + "}", JSON) == 400
        assert status_of(found, '{"a": ' + '{"b":' * 101 + "1" + "}" * 102, JSON) == 400


@pytest.mark.parametrize(("body", "kind"), [
    ("&".join("a" * 4), FORM), ("&a" * 4, FORM), ("&" * 4, FORM),
    (json.dumps(dict.fromkeys("abcd")), JSON)])
def test_too_many_parameters(body, kind):
    """A request has at most ``max_parameters``, and many more are refused before they exist."""
    limits = Limits(max_parameters=3)
    assert status_of(found, body, kind, "", limits) == 400
    assert status_of(found, b"", None, "a&" * 4, limits) == 400
    assert status_of(found, "b=1&c=2", FORM, "a&b", limits) == 400
    assert len(found("b=1&c=2", FORM, "a", limits)) == 3
    many = b"a&" * 1_000_000
    with peak_below(len(many)):
        assert status_of(found, many, FORM) == 400


def test_a_form_takes_little_memory():
    """What is percent-encoded takes about the memory of what was sent, not twenty times that."""
    body = b"a=" + b"%41" * 1_000_000
    with peak_below(4 * len(body)):
        assert found(body, FORM)["a"] == ["A" * 1_000_000]


@pytest.mark.parametrize("shift", range(4))
def test_a_long_text_is_decoded_as_a_whole(shift):
    """A long text is decoded in pieces, and no character is cut in two."""
    text = "x" * shift + "\u20ac%" * 60_000
    body = urllib.parse.urlencode({"a": text})
    assert found(body, FORM) == {"a": [text]}
    assert found("a=" + "%" * 200_000, FORM) == {"a": ["%" * 200_000]}


@pytest.mark.parametrize("query", ["token=x", "t%6Fken=x&token", "token"])
def test_the_token_is_no_parameter(query):
    """A token in the query never becomes a parameter; one in the body is the function's."""
    assert found("b=2", FORM, f"a=1&{query}") == {"a": ["1"], "b": ["2"]}
    assert found("token=2", FORM, query) == {"token": ["2"]}


@pytest.mark.parametrize(("body", "says"), [
    ('{"a": "\\ud800"}', "lone surrogate"), ('{"\\udfff": 1}', "lone surrogate"),
    ('{"a": [1e999]}', "out of range"), ('{"a": {"b": -1e999}}', "out of range"),
    ('{"a": ' + "[" * 200 + "]" * 200 + "}", "100 levels"),
    ('{"a": [' + "[]," * 400_000 + "[]]}", "1,000,000 values")],
    ids=["value", "name", "number", "negative", "deep", "large"])
def test_json_that_is_not_fit(body, says):
    """JSON that cannot be used is refused, and the error says why."""
    with pytest.raises(RequestError, match=says) as caught:
        found(body, JSON)
    assert caught.value.status == 400


# The numbers of a query


@pytest.mark.parametrize(("query", "expected"), [
    ("", [-1.0, 30.0]), ("a=5", [5.0, 30.0]), ("b=0.5&a=-2", [-2.0, 0.5]),
    ("b=1.", [-1.0, 1.0]),
    ("a=1&a=2", [2.0, 30.0]), ("a=&b=1&c=x", [-1.0, 1.0])])
def test_numbers(query, expected):
    """Numbers come in the order in which they are asked for, or are the defaults."""
    assert numbers(request(line=f"GET /?{query} HTTP/1.1"), a=-1, b=30) == expected


@pytest.mark.parametrize("text", [
    "x", "1e9", "nan", "inf", "--1", "1.2.3", "1" * 17, "%EF%BC%91"])
def test_what_is_no_number(text):
    """The error names a value that is not a plain decimal number."""
    with pytest.raises(BadParameters) as caught:
        numbers(request(line=f"GET /?a={text}&b=1 HTTP/1.1"), a=0, b=0)
    assert caught.value.errors == {"a": "must be a number"}
