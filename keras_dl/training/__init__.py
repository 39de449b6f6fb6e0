"""Evaluation, and training that can be killed at any moment and resumed with bit-identical results.

The loop is our own, the step the model's: it runs model.train_step in blocks of steps inside one graph, over a pipeline
that never ends (no wait between epochs). After each block the whole state can be saved, and later restored.
A model may be a plain compiled one, a parts.ModelWithParts, or any keras.Model with a train_step of its own.
"""

from keras_dl.training.callbacks import stopping as stopping
from keras_dl.training.divergence import Diverged as Diverged
from keras_dl.training.evaluation import evaluate as evaluate
from keras_dl.training.fitting import TIMED as TIMED
from keras_dl.training.fitting import fit as fit
from keras_dl.training.steps import Steps as Steps
