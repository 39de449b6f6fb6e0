"""The report of a run: what was asked, on which data, with which model, what came of it, and how sure that is.

    report = reports.Report(run, config, model, splits, metrics, [reports.Classification(result, feature, inputs)])
    export.save(..., card={..., **report.for_card()})
    report.write(commands.following(run, ...))

`Report` computes: intervals by the bootstrap, and the epoch whose weights were kept. `write` draws, after the export,
so that a full disk does not cost the model: report.json, report.html, a single file, and the pictures in report/.
"""

from keras_dl.reports.classification import Classification as Classification
from keras_dl.reports.generated import Generated as Generated
from keras_dl.reports.report import Report as Report
from keras_dl.reports.sections import Attention as Attention
from keras_dl.reports.sections import Likelihood as Likelihood
from keras_dl.reports.sections import Pictures as Pictures
from keras_dl.reports.sections import Samples as Samples
from keras_dl.reports.sections import Section as Section
from keras_dl.reports.translation import Translation as Translation
