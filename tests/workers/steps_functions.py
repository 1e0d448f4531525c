"""What the random steps run in processes: its side effects show whether it still runs."""

import contextlib
import os
import threading
import time
from random import Random

from longop import OperationCancelled, ReportCancelled


def work(callback, folder: str, number: int, seed: int):
    """Report here and in another thread, and leave a sign of life before each step.

    The seed also says whether it is deaf for a while, raises, or ends its process.
    """
    random = Random(seed)
    path = os.path.join(folder, str(number))
    is_deaf = random.random() < 0.1
    for step in range(random.randrange(8)):
        with open(path, "a") as file:
            file.write(".")
        if random.random() < 0.02:
            os._exit(7)
        with contextlib.suppress(OperationCancelled if is_deaf else ()):
            callback(f"step {step}", step, 8)
        if random.random() < 0.2:
            report_elsewhere(callback, step)
        time.sleep(random.random() * 0.004)
    if random.random() < 0.1:
        raise ValueError(f"seed {seed}")
    return seed


def report_elsewhere(callback, step):
    def run():
        with contextlib.suppress(ReportCancelled):
            callback(f"elsewhere {step}", step)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
