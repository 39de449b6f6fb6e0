"""What TensorBoard shows of a run: curves, norms by layer, the graph, histograms, pictures; and reports of classifiers.

Callbacks of training.fit write them. Training and validation are written to two folders under the same tags, so that
TensorBoard draws them into one chart; a step is the number of finished epochs. Tags begin with a prefix: metrics/ and
optimization/ of curves, latent/ of the units of a code, pictures/ and samples/ of what a model answers, report/ of the
report of a finished run, "metrics (test)/" and "metrics (trial)/" of the page HParams.
"""

from keras_dl.summaries import projector as projector
from keras_dl.summaries.classification import Pictures as Pictures
from keras_dl.summaries.classification import classification_report as classification_report
from keras_dl.summaries.classification import confusion_matrix_figure as confusion_matrix_figure
from keras_dl.summaries.classification import misclassified_figure as misclassified_figure
from keras_dl.summaries.classification import report_table as report_table
from keras_dl.summaries.curves import TensorBoard as TensorBoard
from keras_dl.summaries.events import SHOWN_AT_ONCE as SHOWN_AT_ONCE
from keras_dl.summaries.events import animated as animated
from keras_dl.summaries.events import graph as graph
from keras_dl.summaries.events import hparams as hparams
from keras_dl.summaries.events import move as move
from keras_dl.summaries.events import purge as purge
from keras_dl.summaries.events import tagged_graph as tagged_graph
from keras_dl.summaries.events import whole_events as whole_events
from keras_dl.summaries.events import writing as writing
from keras_dl.summaries.latent import Units as Units
from keras_dl.summaries.norms import gradient_norms as gradient_norms
from keras_dl.summaries.norms import gradient_norms_of as gradient_norms_of
from keras_dl.summaries.norms import weight_norms as weight_norms
