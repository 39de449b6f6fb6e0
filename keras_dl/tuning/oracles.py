"""keras-tuner's oracles, which propose the values of the next trial."""

import math
import warnings

ORACLES = {
    "random": "RandomSearchOracle",
    "bayesian": "BayesianOptimizationOracle",
    "hyperband": "HyperbandOracle",
    "grid": "GridSearchOracle",
}


class Proposals:
    """A keras-tuner oracle: `next` returns a trial, `tell` reports its result."""

    def __init__(self, tuner, trials, epochs, monitor, mode, seed, space):
        import keras_tuner

        arguments = {"objective": keras_tuner.Objective(monitor, mode), "seed": seed}  # 0 would be no seed
        if tuner == "hyperband":
            arguments |= {"max_epochs": epochs, "hyperband_iterations": None}  # new brackets while trials are left
        elif tuner == "bayesian":
            arguments |= {"num_initial_points": max(2, trials // 3)}
        self.oracle = getattr(keras_tuner.oracles, ORACLES[tuner])(**arguments)
        self.oracle.max_trials = trials  # HyperbandOracle has no such argument
        self.oracle.max_consecutive_failed_trials = math.inf
        self.oracle.verbose = 0
        self.oracle.save = self.oracle._save_trial = lambda *_: None  # write no files; there is no public switch
        self.oracle.update_space(space)
        self.monitor, self.defaults = monitor, space.values

    def next(self):
        """The next keras-tuner Trial, whose trial_id is its number from 0; None if there are no more."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the Gaussian process, about few points
            trial = self.oracle.create_trial("search")
        if trial.status != "RUNNING":
            return None
        if int(trial.trial_id) == 0:
            trial.hyperparameters.values |= self.defaults
        return trial

    def tell(self, trial, record):
        if record["status"] == "COMPLETED":
            self.oracle.update_trial(trial.trial_id, {self.monitor: record["score"]})
        trial.status, trial.message = record["status"], record["message"]
        self.oracle.end_trial(trial)
        # If this trial was the first to draw a hyperparameter, earlier trials get its default. Otherwise the oracle
        # would draw it for them without a seed (Hyperband) or stop with a KeyError (grid).
        for entry in self.oracle.get_space().space:
            for earlier in self.oracle.trials.values():
                if earlier.hyperparameters.is_active(entry):
                    earlier.hyperparameters.values.setdefault(entry.name, entry.default)
