import pytest

from .api_operations import Gate


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()
