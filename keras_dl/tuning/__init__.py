"""`search`: keras-tuner proposes, training.fit tries, and a search that is killed goes on as if it had not been.

keras-tuner's oracles draw the values; the loop and the journal are our own, since keras-tuner's files are not written
atomically. The oracle writes none: a resumed search hands the journal to a fresh oracle, which must propose the same
trials again, and goes on with the next.

Sources: random search, Bergstra and Bengio 2012; Gaussian process, Snoek et al., arXiv:1206.2944; Hyperband, Li et al.,
arXiv:1603.06560. Deviations: trial 0 is always the defaults, the paper's model; in Hyperband it takes one place of the
first bracket, with that bracket's few epochs, and must win its way to more like the others. The Gaussian process takes
over after a third of the trials (keras-tuner: after three times as many as there are hyperparameters).

Files below run.tuner: trials.json, the journal; best.json, the result, once the search is done; weights/<n>.npz of the
best trial and, in Hyperband, of trials of the open bracket that may yet be continued.
"""

from keras_dl.tuning.searching import search as search
from keras_dl.tuning.values import defaults as defaults
from keras_dl.tuning.values import try_out as try_out
