"""Hyperparameters as arguments of the builder and the optimizer: what a search varies, shows and prints.

    arguments = Arguments(config, space, models.free_arguments(architecture))
    model = build(..., **arguments(hp))     hp: the HyperParameters of a trial, or tuning.defaults()

The card, the search's table, TensorBoard's HParams page and the printed command all use `arguments.of(hp)`: the
arguments of the builder and the optimizer, not the raw values that the search has drawn.
"""

import dataclasses
import shlex

from keras_dl import command_line, optimizers, own_data, records, settings, summaries

MOST_OUTCOMES = 10_000  # in a space with more combinations, values without effect are not detected


class Arguments:
    """The builder's arguments as a function of a search's hyperparameters.

    Called with hp, a keras_tuner.HyperParameters, it returns {argument: value}. Only values that can change the result
    are drawn: none that the user has set, and none that has no effect given those drawn before it. With --init nothing
    is drawn: another architecture would leave most of the earlier weights behind.

    Args:
        config: the settings.Training of the run; values of its --set replace those of the space.
        space: space(hp) -> {argument: value}, what the search may vary.
        defaults: {argument: value} of the builder, models.free_arguments(architecture).
    """

    def __init__(self, config, space, defaults):
        self.config, self.space, self.defaults = config, space, defaults
        self.chosen = command_line.assignments(config.set, defaults, "the builder")
        self._outcomes = None

    def __call__(self, hp):
        if self._outcomes is None:
            self._outcomes = _outcomes(self._combined, type(hp))
        return self._combined(_Effective(hp, self._outcomes))

    def check_effect(self, names, holds, needed):
        """Raise UserError if --set gives an argument of `names` though it changes nothing.

        On a resume and with --init, which gives all arguments of the earlier model, nothing is checked.

        Args:
            names: of arguments of the builder.
            holds: whether they have an effect.
            needed: what must be given for that, such as "--set loss=wgan_gp".
        """
        given = () if self.config.resume or self.config.init else self.chosen
        for name in names:
            settings.check(
                holds or name not in given,
                f"--set {name}: must be given with {needed}, else it has no effect; got it without.",
            )

    def of(self, hp):
        """All arguments of the builder, and those that the optimizer uses: {name: value}."""
        return self.defaults | self(hp) | optimizers.arguments(hp, self.config.optimizer)

    def varied(self, hp):
        """The entries of `of(hp)` that the search varies."""
        every, results = self.of(hp), [result for _, result in self._outcomes]
        names = [name for name in self(hp) if not results or any(r[name] != results[0][name] for r in results)]
        return {name: every[name] for name in (*names, "learning_rate")}

    def show(self, run, hp, metrics):
        """Write the final fit's row of TensorBoard's HParams page.

        It is in the folder of validation, and takes the place of the row of the search's best trial, which has the same
        hyperparameters: the row has the metrics of both. The column "fit" tells the rows apart.

        Args:
            run: the runs.Run.
            hp: hyperparameters of the fit.
            metrics: {name: value} on the test split.
        """
        folder = run.tensorboard / "validation"
        summaries.purge(run.tensorboard / "hparams" / "fit", 0)  # the row of a run that was made when it had a folder
        if (result := run.path / "tuner" / "best.json").exists():
            summaries.move(run.trial(records.best(result)["trial"]).logs, folder)
        values = {"fit": "final", **self.of(hp)}
        summaries.hparams(folder, values, {f"metrics (test)/{name}": value for name, value in metrics.items()})

    def words(self, hp, own=False):
        """The flags, a list of words, that build the same model and optimizer again without a search.

        Args:
            hp: the hyperparameters.
            own: whether the data are the user's own. For these, what is not given would be worked out anew: defaults
                are given too.
        """
        untouched = self(type(hp)())
        values = {name: v for name, v in self(hp).items() if own or name in self.chosen or v != untouched[name]}
        values |= {"learning_rate": optimizers.arguments(hp, self.config.optimizer)["learning_rate"], "trials": 0}
        config = dataclasses.replace(self.config, resume="", smoke=False, trials=0)
        usual = settings.defaults_of(config)
        idle = [name for name, _ in settings.without_effect(settings.values_of(config))]
        config = settings.replaced(config, {name: usual[name] for name in idle})
        return shlex.split(command_line.flags(config, values, always=own_data.SETTINGS if own else ()))

    def _combined(self, hp):
        if self.config.init:
            hp = hp.untouched() if isinstance(hp, _Effective) else type(hp)()
        return self.space(hp) | self.chosen


class _Effective:
    """Passed to a space as `hp`: draws values that can change the outcome, and returns the default of the others.

    Args:
        hp: the keras_tuner.HyperParameters to draw from.
        outcomes: the result of _outcomes; after each value only the outcomes that are still possible are kept.
    """

    def __init__(self, hp, outcomes):
        self._hp, self._possible, self._values = hp, outcomes, {}

    def untouched(self):
        """New hyperparameters, from which every draw gets its default value."""
        return type(self._hp)()

    def __getattr__(self, name):
        if name not in ("Int", "Float", "Boolean", "Fixed"):
            return getattr(self._hp, name)
        return lambda *args, **kwargs: self._value(name, *args, **kwargs)

    def Choice(self, name, values, *args, **kwargs):
        """Offers only one of several values with the same effect: the default or else the first."""
        ways = self._ways(name)
        default = type(self._hp)().Choice(name, values, *args, **kwargs)
        offered = []
        for value in (default, *(v for v in values if v != default)):
            if not ways or all(ways[value] != ways[other] for other in offered):
                offered.append(value)
        return self._value("Choice", name, [v for v in values if v in offered], *args, **kwargs)

    def _value(self, kind, name, *args, **kwargs):
        if name not in self._values:
            at, ways = len(self._values), list(self._ways(name).values())
            idle = bool(ways) and all(way == ways[0] for way in ways)
            value = getattr(type(self._hp)() if idle else self._hp, kind)(name, *args, **kwargs)
            self._values[name] = value
            self._possible = [(path, result) for path, result in self._possible if path[at] == value]
        return self._values[name]

    def _ways(self, name):
        """{value of `name`: {values drawn after it: result}}, if `name` is drawn next; {} if it already has a value."""
        ways = {}
        if name not in self._values:
            at = len(self._values)
            for path, result in self._possible:
                ways.setdefault(path[at], {})[path[at + 1 :]] = result
        return ways


def _outcomes(function, hp_class):
    """Every combination of values that `function` can draw, with its result: [((value, ...), result)].

    Values are in the order in which they are drawn. A range of floats is represented by a few values. The list is empty
    if there are more than MOST_OUTCOMES.
    """
    outcomes, waiting = [], [{}]
    while waiting:
        given = waiting.pop(0)
        hp = hp_class()
        hp.values = dict(given)
        result = function(hp)
        path = [(entry.name, hp.values[entry.name]) for entry in hp.space]
        outcomes.append((tuple(value for _, value in path), result))
        for i in range(len(given), len(path)):
            others = (value for value in hp.space[i].values if value != path[i][1])
            waiting += [dict(path[:i]) | {path[i][0]: value} for value in others]
        if len(outcomes) + len(waiting) > MOST_OUTCOMES:
            return []
    return outcomes
