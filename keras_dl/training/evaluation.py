"""`evaluate`: one pass over batches by the model's test_step."""

import contextlib

from keras_dl.training.steps import Steps, stream
from keras_dl.training.variables import floats
from keras_dl.waiting import waiting
from keras_dl.wording import counted


def evaluate(model, batches, run=None):
    """Evaluate a compiled model on data.Batches.

    Args:
        model: compiled.
        batches: data.Batches, read once.
        run: a runs.Run whose strategy is used; None: TensorFlow's default.

    Returns:
        {name: float} of the model's loss and metrics.
    """
    what = f"evaluating {counted(batches.steps(), 'batches')} ..."
    with run.scope() if run else contextlib.nullcontext(), waiting(what):
        return Evaluation(model, batches)()


class Evaluation:
    """A function that evaluates the model on `batches`; all calls use one pipeline and one graph."""

    def __init__(self, model, batches):
        self.model, self.count = model, batches.steps()
        self.iterator = stream(model, batches.dataset(epochs=None))
        self.steps = Steps(model, model.test_step, self.iterator)

    @property
    def names(self):
        return self.steps.names

    def __call__(self):
        self.model.reset_metrics()
        return floats(self.steps(self.iterator, self.count))
