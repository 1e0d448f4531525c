"""`HostedModule`: what functions and an adapter share as modules of CodeProject.AI Server."""

from __future__ import annotations

import abc
import threading
from typing import Any, Mapping

from .folders import enter
from .module import Begun, Module
from .request import RequestData
from .sdk import ModuleRunner
from .settings import read, set_environment


class HostedModule(Module, abc.ABC):
    """A module that CodeProject can start: with settings, and a ``ModuleRunner``.

    From here on the working directory is its folder, and its settings' variables are set in
    the environment. Raises `TargetError` if there is an error in the settings.
    """

    def __init__(self, runner: ModuleRunner) -> None:
        super().__init__(runner.module_id, runner.module_name)
        self.runner = runner
        self.folder = runner.module_path
        self.settings = read(runner.module_path)
        enter(runner.module_path)
        self._counting = threading.Lock()  # guards the runner's statistics
        set_environment(self.settings)

    @abc.abstractmethod
    def process(self, data: RequestData) -> Begun:
        """Start a job for a request from the queue, or answer it.

        Called in the threads of the polls, several at once. Raises `LongOperationError`.
        """

    def count(self, answer: Mapping[str, Any]) -> None:
        """Count an answer in the statistics. Called in the threads of requests and of jobs."""
        with self._counting:
            self.runner.update_statistics(answer)

    def statistics(self) -> dict[str, Any]:
        """Return what the module says of itself, and how its commands went."""
        runner = self.runner
        good = runner._successful_inferences
        bad = runner._failed_inferences
        average = runner._total_inference_time_ms / good if good else 0
        return {
            **(runner.module_status() or {}),
            "inferenceDevice": runner.inference_device,
            "inferenceLibrary": runner.inference_library,
            "canUseGPU": str(runner.can_use_GPU).lower(),
            "successfulInferences": good,
            "failedInferences": bad,
            "numInferences": good + bad,
            "averageInferenceMs": average,
        }

    def close(self) -> None:
        """Have the adapter clean up. Nothing of the module runs any more."""
        try:
            self.runner.cleanup()
        except Exception as error:
            self.runner.report_error(error, self.id)
