"""`search`: trials one after another until the oracle has no more, and the best of them."""

import json

from keras_dl import atomic, errors, records
from keras_dl.arguments import Function, OneOf, Text, Whole, checked
from keras_dl.tuning.oracles import ORACLES, Proposals
from keras_dl.tuning.report import trials_table
from keras_dl.tuning.trials import Trials, ranked_by_score
from keras_dl.tuning.values import defaults, hyperparameters_of, space_of


@checked(who="tuning.search")
def search(
    compiled: Function("hp"),
    train,
    validation,
    run,
    *,
    trials: Whole(0, 1_000_000) = 3,
    tuner: OneOf(*ORACLES) = "random",
    epochs: Whole(1, 1_000_000) = 5,
    monitor: Text = "val_loss",
    mode: OneOf("min", "max") = "min",
    measure: Function("model") | None = None,
    arguments=None,
):
    """Try hyperparameters and return the best; on a resumed run, go on after the last trial of the journal.

    Trial n runs under run.trial(n): a seed and TensorBoard folders of its own. A trial that cannot be built, diverges
    or runs out of memory is recorded as failed, and the search goes on.

    Args:
        compiled: compiled(hp) -> a compiled model; it draws from the keras_tuner.HyperParameters that it is handed.
        train, validation: data.Batches.
        run: the runs.Run; files go to run.tuner, curves to run.tensorboard / "trials", HParams beside them.
        trials: at most so many; 0 returns the defaults at once. A space with fewer values ends the search early.
        tuner: "random", "bayesian", "hyperband" or "grid". Hyperband continues its best trials only after a first
            bracket of about `epochs` trials: give it more than that.
        epochs: of a trial; Hyperband's longest.
        monitor, mode: name of a number that training.fit reports, and whether it should be small ("min") or large
            ("max"); its value in the best epoch is the trial's score.
        measure: as in training.fit; `monitor` may be one of its numbers.
        arguments: the hyperparameters.Arguments from which `compiled` takes those of its builder: lines, table and
            HParams say them. None: they say what was drawn.

    Returns:
        keras_tuner.HyperParameters with the best trial's values. A search that is done is not run again.

    Raises:
        UserError: an argument does not fit its annotation, `monitor` is not reported, every trial failed (the first
            reason is said), or the journal is of another search.
    """
    if trials == 0:
        return defaults()
    if (result := run.tuner / "best.json").exists():
        return hyperparameters_of(records.best(result)["values"])

    space = space_of(compiled, run)
    if not space.space:
        run.say("tuning.search: the model draws no hyperparameter; there is nothing to search.")
        return space
    attempts = Trials(compiled, train, validation, run, epochs, monitor, mode, measure, arguments)
    attempts.go_on(Proposals(tuner, trials, epochs, monitor, mode, run.seed + 1, space))
    journal = attempts.records
    if len(journal) < trials:
        run.say(f"The {tuner} search ends after {len(journal)} of {trials} trials: there are no other values to try.")
    ranked = ranked_by_score(journal, mode)
    if not ranked:
        raise errors.UserError(f"tuning.search: every trial failed; the first with: {journal[0]['message']}")
    best = ranked[0] | {"values": records.drawn(ranked[0]["values"])}
    record = {name: best[name] for name in ("values", "trial", "score")} | {"monitor": monitor}
    run.say(trials_table(ranked, len(journal) - len(ranked), monitor, attempts.varied))
    atomic.write_atomic(result, json.dumps(record, indent=2))
    return hyperparameters_of(best["values"])
