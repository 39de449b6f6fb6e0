"""Probability distributions whose parameters are a network's outputs: the one place where likelihoods are computed.

Every distribution has log_prob(value) in nats, sample(seed) and mean(), and, if there is a formula, mode() and
entropy(). They are plain TensorFlow operations, so they work inside an exported graph, and log_prob has derivatives of
any order. Computation is in float32 whatever the dtype of the parameters, except that float64 stays float64.
A seed is a tensor of two integers: the same seed gives the same sample on every device, except that under XLA the
samples are different ones from the same distribution. Where documented, temperature 0 gives the most probable value.
Shapes: "..." are leading axes of the parameters, over which values are independent; K classes or mixture components.
"""

from keras_dl.distributions.classes import Bernoulli as Bernoulli
from keras_dl.distributions.classes import Categorical as Categorical
from keras_dl.distributions.continuous import Normal as Normal
from keras_dl.distributions.continuous import Uniform as Uniform
from keras_dl.distributions.levels import LEVEL_KINDS as LEVEL_KINDS
from keras_dl.distributions.levels import DiscreteLevel as DiscreteLevel
from keras_dl.distributions.logistic import DiscretisedLogistic as DiscretisedLogistic
from keras_dl.distributions.logistic import DiscretisedLogisticMixture as DiscretisedLogisticMixture
from keras_dl.distributions.numerics import TINY as TINY
from keras_dl.distributions.numerics import log_mean_exp as log_mean_exp
