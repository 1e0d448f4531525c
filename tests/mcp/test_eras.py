import pytest

from longop.mcp import eras
from longop.mcp.message import (INVALID_PARAMS, MISSING_CAPABILITY, UNSUPPORTED_VERSION, Message,
                                RpcError)

from .rpc import TASKS, meta


def message(found):
    return Message(1, "tools/list", {} if found is None else {"_meta": found})


def test_a_modern_client():
    """A client says in each request what it speaks and can."""
    assert eras.modern_peer(message(meta())) == eras.Peer("2026-07-28", False)
    assert eras.modern_peer(message(meta(tasks=True))) == eras.Peer("2026-07-28", True)
    eras.check_meta(message(meta()))


@pytest.mark.parametrize("found", [
    None, [], "text", {}, meta(protocolVersion=None), meta(protocolVersion=1),
    meta(protocolVersion=[]), meta(clientCapabilities=None), meta(clientCapabilities=[]),
    meta(clientInfo="text"), meta(clientInfo=None)])
def test_a_wrong_meta(found):
    """A `_meta` that is wrong in any part is refused."""
    with pytest.raises(RpcError) as caught:
        eras.check_meta(message(found))
    assert caught.value.code == INVALID_PARAMS


def test_the_client_need_not_name_itself():
    """`clientInfo` may be missing."""
    found = meta()
    del found["io.modelcontextprotocol/clientInfo"]
    eras.check_meta(message(found))


def test_another_version():
    """A version that is not spoken is refused, with those that are."""
    with pytest.raises(RpcError) as caught:
        eras.modern_peer(message(meta(protocolVersion="1900-01-01")))
    assert caught.value.code == UNSUPPORTED_VERSION
    assert caught.value.data == {"requested": "1900-01-01", "supported": [
        "2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]}


@pytest.mark.parametrize("extensions", [None, [], "x", {TASKS: None}, {TASKS: []}, {"other": {}}])
def test_tasks_must_be_declared(extensions):
    """Only an object under the name of the extension declares it."""
    peer = eras.modern_peer(message(meta(clientCapabilities={"extensions": extensions})))
    with pytest.raises(RpcError) as caught:
        peer.require_tasks()
    assert caught.value.code == MISSING_CAPABILITY
    assert caught.value.data == {"requiredCapabilities": {"extensions": {TASKS: {}}}}


@pytest.mark.parametrize("token", ["a", 1, 0, ""])
def test_a_progress_token(token):
    """A token is a text or a whole number."""
    assert eras.progress_token(message({"progressToken": token})) == token


def test_no_progress_token():
    """Without a token no progress is wanted."""
    assert eras.progress_token(message(None)) is None
    assert eras.progress_token(message({})) is None
    assert eras.progress_token(message([])) is None


@pytest.mark.parametrize("token", [True, 1.5, [], {}])
def test_a_wrong_progress_token(token):
    """Anything else is refused."""
    with pytest.raises(RpcError):
        eras.progress_token(message({"progressToken": token}))


def test_says_version():
    """A message of the new era names its version, right or wrong."""
    assert eras.says_version(message(meta(protocolVersion=None)))
    assert not eras.says_version(message({"progressToken": 1}))
    assert not eras.says_version(message("text"))
