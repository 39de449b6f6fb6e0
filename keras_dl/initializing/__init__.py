"""`--init`: start a run from the weights of one's own earlier export or run.

    config = adopted(config, app, models.free_arguments)            the architecture is the earlier one
    start = start_from(config, app, model, labels=info.classes)     before anything is written; None without --init
    run = runs.start(..., origin=start)                             keeps a copy of the weights in the run's folder
    model = run.build(compiled, hp)                                 every model of the run begins with them

Weights are matched by the names of their layers (weight_names.py) and by their shapes. Those that belong to labels (the
rows of an embedding of tokens, the columns of the last layer) are matched by the labels' names. All others stay as the
builder drew them. A resumed run reads the copy in its folder, so that it does not depend on the earlier export or run.

Pictures are standardised by the mean and deviation of the new training split, as the earlier ones were by those of
theirs: in both cases the network's inputs have mean 0 and deviation 1.
"""

from keras_dl.initializing.sources import Source as Source
from keras_dl.initializing.sources import adopted as adopted
from keras_dl.initializing.sources import read as read
from keras_dl.initializing.starts import Start as Start
from keras_dl.initializing.starts import start_from as start_from
