"""The beginning and the end of a run, which are the same in every app.

    run = course.begin(config, hardware, APP, splits, train, tried)
    return course.end(run, __file__, config, model, splits, metrics=, sections=, endpoints=, ...)

What lies between them is the app's own: the search, the training, and the metrics of the test split.
"""

from keras_dl import commands, data, describing, export, half_precision, initializing, reports, runs


def begin(config, hardware, app, splits, train, tried, *, labels=(), called="classes", level=None, notes=()):
    """Start a run, or find the one to resume; print the summary of its data, and whether its precision is slow here.

    Args:
        config: the settings.Training, complete.
        hardware: the machine.Machine.
        app: name of the app.
        splits: data.Splits.
        train: data.Batches of the training split.
        tried: a model as the run will build it, from tuning.try_out.
        labels, called, level: names of the model's classes, tokens or sub-words, what these are called, and of tokens
            whether they are characters or words, for --init.
        notes: sentences to be printed besides those of the splits.

    Returns:
        The runs.Run.

    Raises:
        UserError: as runs.start and initializing.start_from.
    """
    run = runs.start(
        hardware,
        app=app,
        name=f"{config.model}-{splits.info.name}",
        data=data.fingerprint(splits),
        notes=(*splits.notes, *notes),
        origin=initializing.start_from(config, app, tried, labels=labels, called=called, level=level),
    )
    describing.show(run, splits, train)
    if slow := half_precision.sentence(tried, config.precision):
        run.say(f"warning: {slow}")
    return run


def end(
    run,
    app_file,
    config,
    model,
    splits,
    *,
    metrics,
    sections,
    endpoints,
    arguments,
    best,
    predict,
    other_data=(),
    monitor="val_loss",
    card=None,
):
    """Export a trained model, write the run's report, and print the next commands.

    Args:
        run: the runs.Run.
        app_file: path of the app's file, __file__.
        config: the settings.Training.
        model: the trained keras.Model; of a SequenceModel its network.
        splits: data.Splits.
        metrics: {name: number} on the test split.
        sections: list of reports.Section.
        endpoints: {name: Endpoint}, as for export.save.
        arguments: the hyperparameters.Arguments with which the model was built.
        best: the HyperParameters with which it was built.
        predict: function of the export's folder that returns the words of `predict` commands to be printed, a list of
            lists.
        other_data: list of lists of flags that select other data, to be printed.
        monitor: the number by which epochs were compared.
        card: {name: value}, further entries of the export's card.

    Returns:
        `metrics`.

    Raises:
        UserError, RuntimeError: as export.save.
    """
    describing.show_test(splits, metrics)
    report = reports.Report(run, config, model, splits, metrics, sections, monitor=monitor)
    about = {"data": splits.info.config(), "hyperparameters": arguments.of(best)}
    folder = export.save(
        model,
        run,
        endpoints=endpoints,
        metrics=metrics,
        formats=config.formats,
        card={**about, **(card or {}), **report.for_card()},
    )
    arguments.show(run, best, metrics)
    searched = arguments.words(best, own=splits.info.own) if config.trials else None
    next_commands = commands.following(run, app_file, predict=predict(folder), searched=searched, data=other_data)
    report.write(next_commands)  # after the export: a full disk must not cost the model
    run.finish(metrics)
    return metrics
