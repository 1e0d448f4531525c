import pytest

from .clients import Steps


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def start(steps, make):
    def start(**parameters):
        operation = make(steps, "thread", grace=0.1)
        job = operation.start(**parameters)
        job.of_operation = operation
        return job

    return start


@pytest.fixture
def job(start):
    return start()
