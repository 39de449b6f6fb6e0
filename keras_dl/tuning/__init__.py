"""`search`: keras-tuner proposes hyperparameters, training.fit tries them; a killed search continues where it was.

keras-tuner's oracles draw the values. The loop and the journal are our own, since keras-tuner does not write its files
atomically; here it writes none. A resumed search replays the journal on a fresh oracle, which must propose the same
trials again, and continues with the next.

Sources: random search, Bergstra and Bengio 2012; Gaussian process, Snoek et al., arXiv:1206.2944; Hyperband, Li et al.,
arXiv:1603.06560. Deviations: trial 0 is always the defaults, the paper's model; in Hyperband it is one trial of the
first bracket, starts with that bracket's few epochs, and gets more only if it is among the best. The Gaussian process
starts after a third of the trials (keras-tuner: after three times as many trials as there are hyperparameters).

Files in run.tuner: trials.json, the journal; best.json, the result of a finished search; weights/<n>.npz of the best
trial and, in Hyperband, of those trials of the current bracket that may still be continued.
"""

from keras_dl.tuning.searching import search as search
from keras_dl.tuning.values import defaults as defaults
from keras_dl.tuning.values import try_out as try_out
