"""Train an image classifier on digits, MNIST, Fashion-MNIST, CIFAR-10 or your own pictures, and export it.

    python apps/classify_images.py                                   # LeNet-5 on the embedded digits
    python apps/classify_images.py --model resnet_cifar --dataset cifar10 --set depth=20
    python apps/classify_images.py --dataset path/to/my/images       # one sub-folder a class

Recipes: LeCun et al. 1998 (convnet); He et al. 2015, section 4.2 (resnet_cifar).
"""

import dataclasses
import math
from pathlib import Path
from typing import Literal

from keras_dl import models, runtime, settings


@dataclasses.dataclass(frozen=True)
class Config(settings.Common):
    """Train an image classifier and export it as a SavedModel."""

    model: Literal["linear", "mlp", "convnet", "resnet", "resnet_cifar"] = "convnet"  # architecture
    set: settings.Assignments = ()  # an argument of the builder: --set depth=20 --set pooling=max
    dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, or a folder with one sub-folder a class
    image_size: int = 64  # pixels a side to which a folder's pictures are resized
    skip_unreadable: bool = False  # leave out a folder's unreadable files
    class_weight: Literal["none", "balanced"] = "none"  # balanced: every class counts the same
    augment: Literal["auto", "none", "shift", "crop", "crop_flip"] = "auto"  # auto: as the data set's recipes do
    trials: int = 3  # trials of the search; 0 trains the paper's defaults
    tuner: Literal["random", "bayesian", "hyperband", "grid"] = "random"  # keras-tuner's oracle
    trial_epochs: int = 5  # epochs of a trial
    epochs: int = 20  # epochs of the final fit
    batch_size: int = 64  # examples a step
    optimizer: Literal["sgd", "momentum", "nesterov", "rmsprop", "adam"] = "adam"  # momentum is 0.9
    learning_rate: float = 1e-3  # the largest of the schedule
    schedule: Literal["constant", "cosine", "onecycle", "steps"] = "constant"  # of the learning rate
    weight_decay: float = 0.0  # L2 in the gradient; decoupled for adam
    patience: int = 0  # stop after so many epochs without a better val_loss; 0 never
    reduce_on_plateau: int = 0  # halve the learning rate after so many epochs without a better val_loss; 0 never
    keep: Literal["best", "last"] = "best"  # which epoch's weights are evaluated and exported
    save_minutes: float = 10.0  # longest time without a checkpoint
    histograms: bool = False  # weight histograms in TensorBoard
    formats: tuple[Literal["onnx", "litert"], ...] = ()  # also export these


def main(argv=None):
    """Run the task; return the test metrics as {name: float}."""
    config = settings.parse(Config, argv, app="classify_images")
    if config.smoke:
        config = dataclasses.replace(config, trials=min(config.trials, 2), trial_epochs=1, epochs=min(config.epochs, 2))
    arguments = next(row.arguments for row in models.catalogue() if row.name == config.model)
    arguments = {name: value for name, value in arguments.items() if name not in ("input_shape", "num_classes", "name")}
    chosen = settings.assignments(config.set, arguments, f"build_{config.model}")
    settings.check(config.dataset, "--dataset: must be a name or a folder; got nothing.")
    for name, least in (("epochs", 1), ("trial_epochs", 1), ("trials", 0), ("patience", 0), ("reduce_on_plateau", 0)):
        settings.at_least(config, name, least)
    for name in ("weight_decay", "save_minutes"):
        settings.at_least(config, name, 0.0)
    settings.check(
        0 < config.learning_rate < math.inf, f"--learning-rate: must be positive; got {config.learning_rate:g}."
    )
    settings.check(
        config.schedule == "constant" or not config.reduce_on_plateau,
        f"--reduce-on-plateau needs --schedule constant; got {config.schedule}.",
    )
    with runtime.quiet_tensorflow():
        import keras

        from keras_dl import data, export, optimizers, summaries, training, tuning
        from keras_dl.data import images

    splits = data.load(
        config.dataset, config.seed, image_size=config.image_size, skip_unreadable=config.skip_unreadable,
        limit=256 if config.smoke else None,
    )  # fmt: skip
    info, preprocess = splits.info, splits.preprocess
    augment = images.augmentation(config.augment, info, preprocess)
    labels = splits.train.features["label"]
    weights = images.balanced(labels, info.num_classes) if config.class_weight == "balanced" else None
    train = data.batches(
        splits.train, config.batch_size, seed=config.seed, shuffle=True, augment=augment, class_weight=weights,
        preprocess=preprocess,
    )  # fmt: skip
    validation = data.batches(splits.validation, 500, preprocess=preprocess)

    build, space = getattr(models, f"build_{config.model}"), getattr(models, f"{config.model}_space")

    def compiled(hp):
        rate = hp.Float(
            "learning_rate", config.learning_rate / 3, config.learning_rate * 3, sampling="log",
            default=config.learning_rate,
        )  # fmt: skip
        model = build(info.input_shape, info.num_classes, **{**space(hp), **chosen})
        model.compile(
            optimizer=optimizers.build(
                config.optimizer,
                rate,
                schedule=config.schedule,
                steps=config.epochs * train.steps(),
                weight_decay=config.weight_decay,
            ),  # fmt: skip
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        return model

    with settings.user_input():
        compiled(tuning.defaults())  # arguments that do not fit are said before anything is written
    run = runtime.start(config, app="classify_images", name=f"{config.model}-{info.name}")
    if run.finished:
        run.say(f"{run.path.name} is finished: {run.finished['metrics']}")
        return run.finished["metrics"]

    run.say(f"run: {run.path}")
    best = tuning.search(
        compiled, train, validation, run, trials=config.trials, tuner=config.tuner, epochs=config.trial_epochs
    )
    run.reseed()
    with run.scope():
        model = compiled(best)
    run.say(f"{model.name}: {model.count_params():,} parameters; {len(splits.train):,} training examples")
    callbacks = [
        summaries.TensorBoard(run, train, validation, histograms=config.histograms),
        summaries.Pictures(run, splits.validation, preprocess, info.classes),
    ]
    if config.reduce_on_plateau:
        callbacks += [keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=config.reduce_on_plateau)]
    if config.patience:
        callbacks += [keras.callbacks.EarlyStopping(patience=config.patience)]
    training.fit(
        model, train, validation, run, epochs=config.epochs, callbacks=callbacks, monitor="val_loss", mode="min",
        keep=config.keep, save_minutes=config.save_minutes,
    )  # fmt: skip

    test = data.batches(splits.test, 500, preprocess=preprocess)
    report = summaries.classification_report(model, test, info.classes)  # the test split is read here, once
    run.say(summaries.report_table(report))
    folder = export.save(
        model, run, preprocess=preprocess, endpoints=export.classifier(model, preprocess, info.classes),
        metrics=report["metrics"], examples=splits.test.features["image"][:8], formats=config.formats,
        card={"data": dataclasses.asdict(info), "hyperparameters": best.values},
    )  # fmt: skip
    pictures = images.write_png(splits.test.features["image"][:5], run.samples)
    run.finish(report["metrics"])
    if run.throwaway:
        return report["metrics"]
    found = {name: value for name, value in {**space(best), **chosen}.items() if value != arguments[name]}
    found |= {name: best.values[name] for name in ("learning_rate",) if name in best.values}
    anew = settings.flags(dataclasses.replace(config, resume="", smoke=False), {**found, "trials": 0})
    python, app = runtime.python(), runtime.typed(Path(__file__).resolve())
    run.say(
        f"""
Next:
  {python} -m tensorboard.main --logdir {runtime.typed(run.tensorboard)}
  {python} -m keras_dl predict {runtime.typed(folder)} {runtime.typed(pictures[0])}
  {python} {app} {anew}
  {python} {app} --dataset fashion_mnist
  {python} {app} --dataset path/to/my/images"""
    )
    return report["metrics"]


if __name__ == "__main__":
    settings.run(main)
