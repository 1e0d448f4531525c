"""`longop.web.deltas`: what a client lacks of a status."""

import base64
import json
import random
import weakref

import pytest

from longop.status import State, Status
from longop.values.growth import Growth
from longop.web.deltas import Place, Trail

from ..pythons import counts_references

FIRST = Status("a", "m", "o", State.RUNNING, step=1, total=9, version=1)


class Client:
    """A client that asks for deltas, and puts them together as the documents say."""

    def __init__(self, trail):
        self._trail = trail
        self.place = Place()
        self.status = {}
        self.got = []
        self.first = {}

    def look(self, status):
        data, self.place = self._trail.delta(status, self.place)
        delta = json.loads(data)
        self.got.append(delta)
        self.first = self.first or dict(delta)
        more = delta.pop("append", None)
        encoding = delta.pop("encoding", None)
        self.status.update(delta)
        if more is None:
            return
        result = self.status["result"]
        if encoding == "base64":
            whole = base64.b64decode(result) + base64.b64decode(more)
            self.status["result"] = base64.b64encode(whole).decode()
        else:
            self.status["result"] = result + more


def shown(status):
    """Return a status as JSON has it."""
    from longop.values.growth import settled
    from longop.values.jsontext import dumps

    return json.loads(dumps(vars(status.replace(result=settled(status.result)))))


def test_first_is_the_whole_status():
    """A client that has nothing gets all."""
    client = Client(Trail())
    client.look(FIRST)
    assert client.status == shown(FIRST)


def test_then_what_changed():
    """After that the version comes, and the keys that changed, and no others."""
    client = Client(Trail())
    client.look(FIRST)
    client.look(FIRST.replace(version=2, step=2))
    assert client.got[1] == {"version": 2, "step": 2}
    client.look(FIRST.replace(version=3, step=2, message="m"))
    assert client.got[2] == {"version": 3, "message": "m"}
    client.look(FIRST.replace(version=3, step=2, message="m"))
    assert client.got[3] == {"version": 3}


@pytest.mark.parametrize(("results", "deltas"), [
    (["a", "abc", "abc", "abd", "a", "ab"],
     [{"append": "bc"}, {}, {"result": "abd"}, {"result": "a"}, {"append": "b"}]),
    ([b"a", b"abc"], [{"append": "YmM=", "encoding": "base64"}]),
    ([None, "a", None, 7, "7"], [{"result": "a"}, {"result": None}, {"result": 7},
                                 {"result": "7"}]),
    ([{"a": 1}, {"a": 1}, {"a": 2}], [{}, {"result": {"a": 2}}]),
    ([[1], [1], [1, 2]], [{}, {"result": [1, 2]}]),
    (["a\ud83d", "a\ud83d\ude00"], [{"result": "a\ud83d\ude00"}]),
])
def test_results(results, deltas):
    """A text or bytes that grow come as what is new; any other result comes whole."""
    client = Client(Trail())
    for version, result in enumerate(results):
        status = FIRST.replace(version=version, result=result)
        client.look(status)
        assert client.status["result"] == shown(status)["result"]
    assert ("encoding" in client.first) == isinstance(results[0], bytes)
    got = [{name: value for name, value in delta.items() if name != "version"}
           for delta in client.got[1:]]
    want = [{name: value for name, value in delta.items() if name not in ("append", "encoding")}
            for delta in deltas]
    assert got == json.loads(json.dumps(want))


@pytest.mark.parametrize("pieces", [["a", "bc", ""], [b"a", b"\xff"], [{"row": 1}, [2]]])
def test_what_is_appended(pieces):
    """What a function appends comes once, and nothing of it again at the end."""
    client, trail = None, Trail()
    client = Client(trail)
    growth = Growth(b"" if isinstance(pieces[0], bytes) else type(pieces[0])()
                    if isinstance(pieces[0], str) else [])
    for version, piece in enumerate(pieces):
        growth.add(piece)
        status = FIRST.replace(version=version, result=growth)
        client.look(status)
        assert client.status["result"] == shown(status)["result"]
    end = FIRST.replace(version=9, result=growth.value(), state=State.COMPLETED)
    client.look(end)
    assert client.status == shown(end)
    assert [("result" in delta) for delta in client.got] == [True] + [False] * len(pieces)


def test_a_growth_that_goes_on_between_two_looks():
    """A piece that comes while the version is still the same is not missed, nor sent twice."""
    client, growth = Client(Trail()), Growth("a")
    status = FIRST.replace(result=growth)
    client.look(status)
    growth.add("b")  # before its report has changed the version
    client.look(status)
    client.look(status)
    growth.add("c")
    client.look(status.replace(version=2))
    assert client.status["result"] == "abc"


def test_clients_at_any_places():
    """Clients that look now and then, or come late, have the status after each look."""
    chance = random.Random(5)
    trail = Trail()
    clients = [Client(trail) for _ in range(5)]
    text, growth = "", Growth("")
    for version in range(1, 2500):
        kind = chance.randrange(8)
        if kind < 5:
            text += "né" * chance.randrange(3)
            growth.add("x")
        elif kind == 5:
            text = text[:chance.randrange(len(text) + 1)]
        elif kind == 6:
            growth = Growth(chance.choice(["", "begun"]))
        result = chance.choice([text, growth, {"n": version}, None]) if kind == 7 else text
        status = FIRST.replace(version=version, result=result, step=chance.randrange(3))
        for client in clients[:-1]:
            if chance.random() < 0.3:
                client.look(status)
                assert client.status == shown(status)
    clients[-1].place = Place(1, 5)  # 1,000 versions behind
    clients[-1].look(status)
    assert clients[-1].status == shown(status)


def test_a_place_that_no_look_led_to():
    """A client that claims a version nobody was told gets all."""
    trail = Trail()
    Client(trail).look(FIRST)
    client = Client(trail)
    for place in [Place(0, 0), Place(7, 1), Place(-1, 5), Place(1, 9)]:
        client.place = place
        client.look(FIRST)
        assert client.status == shown(FIRST)


@pytest.mark.parametrize("way", ["append", "whole"])
def test_bytes_to_one_client(way):
    """Of a text of N bytes a client gets little more than N bytes, however long it is."""
    for count in (1_000, 10_000):
        trail, place, sent, text, growth = Trail(), Place(), 0, "", Growth("")
        for version in range(count):
            text += "x" * 20
            growth.add("x" * 20)
            result = growth if way == "append" else text
            status = FIRST.replace(version=version, result=result, step=version, elapsed=1.0)
            data, place = trail.delta(status, place)
            sent += len(data)
        assert sent < 1.3 * len(text) + 300 * count
        assert sent < 5 * len(text)


def test_clients_share_their_deltas():
    """A thousand clients at one place get the same bytes; each character is encoded once."""
    trail, growth = Trail(), Growth("")
    places = [Place()] * 1000
    for version in range(3):
        growth.add("x")
        deltas = [trail.delta(FIRST.replace(version=version, result=growth), place)
                  for place in places]
        assert len({id(data) for data, _ in deltas}) == 1
        places = [place for _, place in deltas]


def made_of(delta):
    """Return the bytes of a delta, made if it is large."""
    if isinstance(delta, bytes):
        return delta
    if delta.claim():
        delta.run()
    return delta.made.result()


@pytest.mark.parametrize("way", ["append", "whole"])
def test_those_who_come_one_after_the_other_share_what_is_large(way):
    """A hundred slow clients, each of which comes at another version, take the memory of a few."""
    trail, growth = Trail(), Growth("x" * 1_000_000)
    kept = {}  # what is still being sent to somebody
    for version in range(1, 101):
        growth.add("y" * 20_000)
        result = growth if way == "append" else growth.value()
        status = FIRST.replace(version=version, result=result)
        place, text = Place(), ""
        while place.version < version:
            delta, place = trail.delta(status, place, may_lag=True)
            event = json.loads(made_of(delta))
            text = event.get("result", text) + event.get("append", "")
            if "result" in event:
                kept[id(delta)] = delta
        assert text == growth.value()
    assert sum(len(made_of(delta)) for delta in kept.values()) < 2 * len(growth)


@counts_references
def test_a_large_rest_is_shared():
    """A hundred clients at one place share a large rest, as long as it is sent to one of them."""
    trail = Trail()
    _, place = trail.delta(FIRST.replace(result="x"), Place())
    longer = FIRST.replace(result="x" * 200_000, version=2)
    deltas = [trail.delta(longer, place) for _ in range(100)]
    assert len({id(delta) for delta, _ in deltas}) == 1
    assert json.loads(made_of(deltas[0][0]))["append"] == "x" * 199_999
    assert {after for _, after in deltas} == {Place(2, 200_000)}
    kept = weakref.ref(deltas[0][0])
    deltas.clear()
    assert kept() is None


@counts_references
def test_a_whole_status_that_lags():
    """It is only used by those that say so, and not if the result began anew or doubled."""
    trail = Trail()

    def first(result, version, may_lag):
        status = FIRST.replace(version=version, result=result)
        delta, place = trail.delta(status, Place(), may_lag)
        made_of(delta)
        return delta, place.version

    text = "x" * 100_000
    slow, version = first(text, 1, True)
    assert version == 1
    assert first(text + "y", 2, True) == (slow, 1)
    assert first(text + "y", 2, False)[1] == 2
    del slow
    assert first(text + "yz", 3, True)[1] == 3  # nobody is being sent the old one
    kept = [first(text + "yz", 3, True)]
    assert first(text + "yz" + text + text, 4, True)[1] == 4
    kept.append(first(text + "yz" + text + text, 4, True))
    assert [version for _, version in kept] == [3, 4]
    assert first("another" + text, 5, True)[1] == 5
