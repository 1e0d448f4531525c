"""The three ways in over HTTP are the same: the server, the handler, and WSGI."""

import pytest

from ..web import doors
from .doors import server


@pytest.fixture(scope="module")
def told_by_the_server():
    with server() as address:
        return doors.converse(doors.Client(*address))


@pytest.mark.parametrize("door", [doors.handler, doors.wsgi])
def test_doors(told_by_the_server, door):
    """Each request has the same answer through all doors."""
    with door() as address:
        told = doors.converse(doors.Client(*address))
    for mine, its in zip(told, told_by_the_server):
        assert mine == its
    assert len(told) == len(told_by_the_server)
