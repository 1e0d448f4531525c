"""`longop.codeproject.hosted`: what functions and an adapter share as modules."""

import os
import sys
import threading

import pytest

from longop.codeproject import RequestData

from ..waiting import end_of, wait_until
from .adapters import ANSWERS, HEAD, RUNNING, STEPS


def test_statistics(made):
    """Each request is counted once, at its end, with its time if it was long (defect 17)."""
    door, module = made(STEPS + '''
    def quick(self):
        self.process = lambda data: {"success": True, "inferenceMs": 20}

    def bad(self):
        self.process = lambda data: 1 / 0
''')
    known = ("successfulInferences", "failedInferences", "numInferences", "averageInferenceMs")

    def counted():
        return [door.module.statistics()[key] for key in known]

    job = door.start({"most": 2})
    assert counted() == [0, 0, 0, 0]
    module.MAY.release()
    module.MAY.release()
    end_of(job)
    assert counted() == [1, 0, 1, 40.0]
    job = door.start()
    assert door.post()["error"] == RUNNING  # is no request that the adapter answered
    job.cancel()
    module.MAY.release()
    end_of(job)
    assert counted() == [1, 1, 2, 40.0]
    door.runner.quick()
    door.post()
    assert counted() == [2, 1, 3, 30.0]
    door.runner.bad()
    door.post()
    assert counted() == [2, 2, 4, 30.0]


def test_statistics_at_once(made):
    """No answer is lost in the count when many are counted at once."""
    door, _ = made(ANSWERS)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: [
            door.module.process(RequestData.of({"how": ["dict"]}, "run", []))
            for _ in range(300)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert door.module.statistics()["numInferences"] == 2400


@pytest.mark.parametrize("time", ["'fast'", "float('nan')", "[1]"])
@pytest.mark.parametrize("long", [False, True])
def test_an_inference_time_that_is_none(made, time, long):
    """An inferenceMs that is not a number spoils neither the answer nor the count."""
    answer = f'{{"success": True, "x": 1, "inferenceMs": {time}}}'
    door, _ = made(HEAD + f'''
class Odd(ModuleRunner):
    def process(self, data):
        return {"lambda data: " * long}{answer}
''')
    answer = door.post()
    if long:
        wait_until(lambda: not door.live)
        answer = door.status(answer["commandId"])
    assert (answer["success"], answer.get("x")) == (True, 1)
    assert door.module.statistics()["successfulInferences"] == 1


def test_it_can_start_as_a_module_of_the_server(made):
    """It has the settings in its folder, their variables, and its adapter's clean-up."""
    settings = {"Modules": {"Mod": {"Name": "A module", "Version": "1.2.3",
                                    "EnvironmentVariables": {"LONGOP_HOSTED": "yes"}}}}
    door, module = made(ANSWERS + '''
    def cleanup(self):
        SEEN.append("cleaned")
        raise ValueError("no more")
''', settings)
    hosted = door.module
    assert (hosted.id, hosted.name, hosted.settings.version) == ("Mod", "A module", "1.2.3")
    assert hosted.folder == hosted.runner.module_path
    assert os.environ["LONGOP_HOSTED"] == "yes"
    hosted.close()  # what a clean-up raises is logged
    assert module.SEEN == ["cleaned"]
