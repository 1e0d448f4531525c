"""CodeProject.AI Server's routes are the same through all doors."""

import pytest

from ..serve.doors import server
from ..web import doors
from ..web.doors import FORM, SITE


def converse(client):
    """Make the requests of CodeProject's clients, and return the answers."""
    ask = client.ask
    assert ask("GET /v1/status/ping")[1]["success"] is True
    assert ask("POST /v1/Doors/ECHO")[1]["success"] is True
    first, again = (ask("POST /v1/doors/echo", b"text=k", Idempotency_Key="k", **FORM)[1]
                    for _ in range(2))
    assert first["commandId"] == again["commandId"]
    assert ask("POST /v1/doors/echo", b"text=l", Idempotency_Key="k", **FORM)[0] == 422
    path = f"GET /v1/jobs/{first['commandId']}"
    doors.Client(*client.address).ask(f"{path}/events")  # until it has ended
    assert ask(path)[0] == 200
    id = ask("POST /v1/doors/until_told")[1]["commandId"]
    by_id = {"body": f"commandId={id}", **FORM}
    status, value, _ = ask("POST /v1/doors/get_command_status", **by_id)
    assert (status, value["commandStatus"]) == (200, "running")
    assert ask("POST /v1/doors/cancel_command", **by_id)[1]["success"] is True
    doors.Client(*client.address).ask(f"GET /v1/jobs/{id}/events")  # until it has ended
    status, value, _ = ask("POST /v1/doors/get_command_status", **by_id)
    assert (status, value["commandStatus"]) == (200, "cancelled")
    assert ask("POST /v1/doors/cancel_command", **by_id)[1]["success"] is True
    assert ask("POST /v1/doors/echo", Origin=SITE)[0] == 200
    return client.told


@pytest.fixture(scope="module")
def told_by_the_server():
    with server() as address:
        return converse(doors.Client(*address))


@pytest.mark.parametrize("door", [doors.handler, doors.wsgi])
def test_doors(told_by_the_server, door):
    """CodeProject's clients get the same answers through all doors."""
    with door() as address:
        told = converse(doors.Client(*address))
    for mine, its in zip(told, told_by_the_server):
        assert mine == its
    assert len(told) == len(told_by_the_server)
