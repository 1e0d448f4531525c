"""Functions that compute: scipy, optuna and LightGBM are handed the callback as it is."""

import threading

import pytest

from longop import LongOperation, State

from ..waiting import WAIT, end_of
from .peers import needs

SCIPY = needs("scipy", python=(3, 9))  # 1.11 brought ``intermediate_result``
OPTUNA = needs("optuna")
LIGHTGBM = needs("lightgbm")


class Work:
    """What a function is asked to compute: it is slow, from a certain step on."""

    def __init__(self, free):
        self.count = 0
        self.waits = threading.Event()
        self._free = free
        self._opened = threading.Event()
        self.go_on = self._opened.set

    def step(self):
        self.count += 1
        if self.count > self._free:
            self.waits.set()
            assert self._opened.wait(WAIT)


def seen(job, condition):
    """Return the first status of a job that meets a condition."""
    for status in job.updates():
        if condition(status):
            return status
    raise AssertionError(status)


def cancel_in_mid_work(job, work):
    """Cancel a job while it computes; return its last status."""
    assert work.waits.wait(WAIT), job
    job.cancel()
    assert job.state is State.CANCELLING
    work.go_on()
    return end_of(job)


# scipy

def cost_by_iteration(intermediate_result):
    return {"result": float(intermediate_result.fun)}


@SCIPY
def test_scipy_without_an_option():
    """Each iterate of minimize(callback=callback) is a partial result."""
    def fit(callback):
        from scipy.optimize import minimize, rosen

        return minimize(rosen, [1.3, 0.7], callback=callback, method="Nelder-Mead").fun

    job = LongOperation(fit).start()
    seen = [status.result for status in job.updates()]
    assert job.result(WAIT) < 1e-6
    assert seen[-1] == job.result()


@SCIPY
@pytest.mark.parametrize(
    "method", ["Nelder-Mead", "L-BFGS-B", "BFGS", "SLSQP", "trust-constr"])
def test_scipy_hands_over_its_intermediate_result(method):
    """With a report= of scipy's signature each iteration is seen; a cancel stops it."""
    work = Work(free=40)
    after = []

    def fit(callback):
        from scipy.optimize import minimize, rosen

        def cost(x):
            work.step()
            return rosen(x)

        found = minimize(cost, [1.3, 0.7, 0.8, 1.9, 1.2], callback=callback, method=method)
        after.append(found)
        return found.fun

    job = LongOperation(fit, report=cost_by_iteration).start()
    assert isinstance(seen(job, lambda status: status.result).result, float)
    status = cancel_in_mid_work(job, work)
    assert (status.state, status.error, after) == (State.CANCELLED, None, [])
    assert isinstance(status.result, float)
    assert work.count < 100  # it ended with the iteration


# optuna

def best(study, trial):
    return {"result": study.best_value, "step": trial.number + 1}


@OPTUNA
@pytest.mark.parametrize("threads", [1, 2])
def test_optuna(threads):
    """Each trial is seen in callbacks=[callback]; after a cancel no further trial begins."""
    work = Work(free=3)
    after = []

    def tune(callback, trials: int):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)

        def objective(trial):
            work.step()
            return trial.suggest_float("x", -1, 1) ** 2

        study = optuna.create_study()
        study.optimize(objective, n_trials=trials, callbacks=[callback], n_jobs=threads)
        after.append(study)
        return study.best_value

    job = LongOperation(tune, report=best).start(trials=1_000)
    assert seen(job, lambda status: status.step).result >= 0
    status = cancel_in_mid_work(job, work)
    assert (status.state, status.error, after) == (State.CANCELLED, None, [])
    assert work.count <= 3 + 2 * threads


# LightGBM

def rounds(env):
    return {"step": env.iteration + 1, "total": env.end_iteration,
            "message": f"error {env.evaluation_result_list[0][2]:.3f}"}


def boost(callback, on_round, number: int = 100):
    """Train on numbers of its own; ``on_round`` is a metric, which may be slow."""
    import lightgbm
    import numpy

    numbers = numpy.random.default_rng(0).random((200, 4))
    data = lightgbm.Dataset(numbers, numbers.sum(axis=1))
    options = {"objective": "regression", "metric": "None", "verbosity": -1, "num_threads": 1}

    def metric(predicted, data):
        on_round()
        return "off", float(abs(predicted - data.get_label()).mean()), False

    return lightgbm.train(options, data, number, valid_sets=[data], feval=metric,
                          callbacks=[callback])


@LIGHTGBM
def test_lightgbm():
    """Each round is seen in callbacks=[callback]; a cancel ends the training."""
    work = Work(free=3)
    after = []

    def train(callback):
        model = boost(callback, work.step)
        after.append(model)
        return model.num_trees()

    job = LongOperation(train, report=rounds).start()
    status = seen(job, lambda status: status.step == 3)
    assert (status.total, status.message[:8]) == (100, "error 0.")
    status = cancel_in_mid_work(job, work)
    assert (status.state, status.error, after) == (State.CANCELLED, None, [])
    assert work.count <= 4


@LIGHTGBM
def test_lightgbm_orders_its_callbacks():
    """A callback takes the attributes by which LightGBM sorts: order, before_iteration."""
    seen = []

    def train(callback):
        callback.order = 30
        return boost(callback, lambda: None, 5).num_trees()

    def report(env):
        seen.append(env.iteration)
        return rounds(env)

    assert LongOperation(train, report=report).start().result(WAIT) == 5
    assert seen == [0, 1, 2, 3, 4]
