"""The two doors of `longop.web` are the same: the handler, and WSGI."""

from . import doors


def test_doors():
    """Each request has the same answer through both doors."""
    with doors.handler() as address:
        told_by_the_handler = doors.converse(doors.Client(*address))
    with doors.wsgi() as address:
        told_by_wsgi = doors.converse(doors.Client(*address))
    for mine, its in zip(told_by_wsgi, told_by_the_handler):
        assert mine == its
    assert len(told_by_wsgi) == len(told_by_the_handler)
