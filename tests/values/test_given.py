"""`longop.values.given`: JSON that somebody sent."""

import json
import threading

import pytest

from longop.values.given import Bounds, UnfitJson, bounded, loads

from ..memory import peak_below


def refusal(text, **bounds):
    """Return why a text is not taken, or None if it is."""
    with bounded(Bounds(**bounds)):
        try:
            loads(text)
        except UnfitJson as error:
            return str(error)
    return None


@pytest.mark.parametrize("value", [
    None, True, 1, -1.5, "a", "\u00e9\u20ac\U0001f600", [], {}, [[1], {"a": [{"b": "c,[{"}]}],
    'a "quoted" text, with \\ and \\" in it', "\ufffe\uffff"])
def test_values(value):
    """JSON within bounds gives its value, written in ASCII or not."""
    for text in json.dumps(value), json.dumps(value, ensure_ascii=False):
        assert loads(text) == value


@pytest.mark.parametrize("text", ["", "{", "nan", "[1,]", '"', "'a'", "[" * 200])
def test_no_json(text):
    """What is no JSON is a plain ``ValueError``."""
    with pytest.raises(ValueError, match="line 1") as caught:
        loads(text)
    assert not isinstance(caught.value, UnfitJson)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"":', "}]")])
def test_depth(opening, closing):
    """JSON is nested as deep as the bound, and not one level more, even where Python cannot."""
    levels = 6 // len(closing)
    text = opening * levels + "1" + closing * levels
    assert refusal(text, depth=6) is None
    assert refusal(text, depth=5) == "is nested too deeply (more than 5 levels)"
    with bounded(Bounds(depth=5)):
        assert loads(text, more_depth=1)
    endless = opening * 50_000 + "1" + closing * 50_000
    assert refusal(endless, depth=5) == "is nested too deeply (more than 5 levels)"
    for levels in 300, 500, 700, 5_000:  # which Python may or may not be able to do
        text = "[" * levels + "]" * levels
        assert refusal(text, depth=900) in (None, "is nested too deeply (more than 900 levels)")


@pytest.mark.parametrize(("text", "weight"), [
    ("[1,2,3]", 5), ("[[],[]]", 10), ('{"a":1}', 10), ('["a","b"]', 8),
    ('[",[{","[[[["]', 8), (r'["\"[,","\\",{}]', 16), (r'["\\\"[[[\\"]', 5), ('"[[[', 2)])
def test_values_are_counted(text, weight):
    """Values are counted before they are made; what is inside of texts does not count."""
    most = weight - 13  # what is outermost is free
    assert refusal(text, values=most) == f"has more than {most:,} values"
    if text[-1] != "[":  # which is no JSON
        assert refusal(text, values=most + 1) is None


def test_a_list_of_so_many_numbers():
    """A parameter may be a list of exactly as many numbers as the bound says."""
    assert refusal('{"a":[' + "1," * 9_999 + "1]}", values=10_000) is None
    assert refusal('{"a":[' + "1," * 10_000 + "1]}", values=10_000)


@pytest.mark.parametrize("item", ["[]", "{}", '""', "1", r'"\""'])
def test_too_many_values_take_no_memory(item):
    """What has too many values is refused without making them: it takes a copy of the text."""
    text = "[" + f"{item}," * 100_100 + "1]"
    with peak_below(2 * len(text) + 10_000):
        assert refusal(text, values=99_999) == "has more than 99,999 values"


@pytest.mark.parametrize(("text", "says"), [
    (r'"\ud800"', "lone surrogate"), (r'["a\udfff\ud83d"]', "lone surrogate"),
    (r'{"\ud800": 1}', "lone surrogate"), (r'{"a": {"b": ["\udc00"]}}', "lone surrogate"),
    ("1e999", "out of range"), ("[-1e999]", "out of range"), ('{"a": 1e400}', "out of range")])
def test_values_that_nothing_can_be_done_with(text, says):
    """Half a character, and a number that is too large for a float, are refused anywhere."""
    assert says in refusal(text)
    assert refusal(r'"\ud83d\ude00"') is None  # both halves


def test_bounds_of_one_thread():
    """Bounds are those of a thread, while it is inside of them, and the usual ones elsewhere."""
    found = []
    with bounded(Bounds(depth=1)):
        with bounded(Bounds(depth=2)):
            assert loads("[[]]")
        assert refusal("[[[]]]", depth=3) is None
        thread = threading.Thread(target=lambda: found.append(loads("[[[]]]")))
        thread.start()
        thread.join()
        with pytest.raises(UnfitJson):
            loads("[[]]")
    assert found == [[[[]]]]
    assert loads("[[]]")
