"""`search`: run trials one after another until the oracle has no more, and return the best."""

import json

from keras_dl import atomic, errors, records
from keras_dl.arguments import Function, OneOf, Text, Whole, checked
from keras_dl.tuning.oracles import ORACLES, Proposals
from keras_dl.tuning.report import trials_table
from keras_dl.tuning.trials import Trials, ranked_by_score
from keras_dl.tuning.values import defaults, hyperparameters_of, space_of
from keras_dl.wording import counted


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
    """Try hyperparameters and return the best; on a resumed run, continue after the last trial of the journal.

    Trial n runs under run.trial(n), with its own seed and a TensorBoard folder. A trial whose model cannot be built,
    diverges or runs out of memory is recorded as failed, and the search continues.

    Args:
        compiled: compiled(hp) -> a compiled model; it draws hyperparameters from hp, a keras_tuner.HyperParameters.
        train, validation: data.Batches.
        run: the runs.Run; files go to run.tuner, curves and rows of HParams to run.tensorboard / "variants", a folder a
            trial.
        trials: largest number of trials; 0 returns the defaults at once. The search ends earlier if there are no other
            values to try.
        tuner: "random", "bayesian", "hyperband" or "grid". Hyperband continues its best trials only after a first
            bracket of about `epochs` trials: give it more trials than that.
        epochs: of a trial; with Hyperband of its longest trials.
        monitor, mode: name of a number that training.fit reports, and whether it should be small ("min") or large
            ("max"); its value in the best epoch is the trial's score.
        measure: as in training.fit; `monitor` may be one of its numbers.
        arguments: the hyperparameters.Arguments with which `compiled` computes the builder's arguments: the output and
            HParams then show these arguments. None: they show the values that were drawn.

    Returns:
        keras_tuner.HyperParameters with the best trial's values; of a finished search, those in its best.json. With
        `arguments`, what these mean is noted in the run's config.json, as "hyperparameters".

    Raises:
        UserError: an argument does not fit its annotation, `monitor` is not reported, every trial failed (the message
            has the first reason), or the journal is that of another search.
    """
    best = _searched(compiled, train, validation, run, trials, tuner, epochs, monitor, mode, measure, arguments)
    if arguments is not None:
        run.note("hyperparameters", arguments.of(best))
    return best


def _searched(compiled, train, validation, run, trials, tuner, epochs, monitor, mode, measure, arguments):
    if trials == 0:
        return defaults()
    if (result := run.tuner / "best.json").exists():
        return hyperparameters_of(records.best(result)["values"])

    space = space_of(compiled, run)
    if not space.space:
        run.say("tuning.search: the model draws no hyperparameter; there is nothing to search.")
        return space
    attempts = Trials(compiled, train, validation, run, epochs, monitor, mode, measure, arguments)
    attempts.go_on(Proposals(tuner, trials, epochs, monitor, mode, run.seed + 1, space), trials)
    journal = attempts.records
    if len(journal) < trials:
        ended = f"The {tuner} search ends after {len(journal)} of {counted(trials, 'trials')}"
        run.say(f"{ended}: there are no other values to try.")
    ranked = ranked_by_score(journal, mode)
    if not ranked:
        raise errors.UserError(f"tuning.search: every trial failed; the first with: {journal[0]['message']}")
    best = ranked[0] | {"values": records.drawn(ranked[0]["values"])}
    record = {name: best[name] for name in ("values", "trial", "score")} | {"monitor": monitor}
    run.say(trials_table(ranked, len(journal) - len(ranked), monitor, attempts.varied))
    atomic.write_atomic(result, json.dumps(record, indent=2))
    return hyperparameters_of(best["values"])
