"""The lecture, "Introduction to Deep Learning" (R. Pascanu, 2019), slide by slide, with the apps that show it.

`python -m keras_dl list` prints it, so that one can go through the lecture with it. Titles in quotes are those of
slides; the others name a part of the lecture. Nothing here imports TensorFlow.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Slide:
    """A slide, or several about the same subject.

    Attributes:
        title: of the slide in quotes, or what the part of the lecture is about.
        app: name of the file in apps/.
        flags: with which the app shows it; "" for none.
        figure: what to look at: a picture of the run, a table of docs/results.md, or what TensorBoard shows.
    """

    title: str
    app: str
    flags: str
    figure: str


SLIDES = (
    Slide('"Picking the right hypothesis class"', "fit_curve", "", "figures/fits.png; table curve"),
    Slide('"Overfitting"', "fit_curve", "", "figures/errors.png, figures/resampled.png"),
    Slide('"Role of the prior"', "fit_curve", "", "figures/prior.png, figures/weight_decay.png, figures/bands.png"),
    Slide("Linear models, MLPs", "classify_images", "--model mlp", "the confusion matrix; tables mnist, fashion_mnist"),
    Slide(
        "Linear models, MLPs", "compare_priors", "--figure activations", "figures/activations.png; table priors_digits"
    ),
    Slide('"How do we search for theta?"', "descend", "--part paths", "figures/trust_regions.png, figures/paths.gif"),
    Slide(
        '"Still many issues remain"',
        "descend",
        "--part saddle",
        "figures/training.png, figures/critical_points.png; table saddle",
    ),
    Slide(
        '"ReLU networks: representation"',
        "count_regions",
        "",
        "figures/shallow.png, figures/folding.png, figures/training.gif, figures/training_counts.png, "
        "figures/depth.png, figures/approximation.png; table regions",
    ),
    Slide(
        '"Are unconstrained models impossible to optimize?"',
        "loss_surface",
        "",
        "figures/planes.png, figures/path.png, figures/spectrum.png; table landscape",
    ),
    Slide("Landscapes of the loss", "loss_surface", "", "figures/surface_3d.png, figures/curves.png"),
    Slide("ConvNets, pooling", "classify_images", "", "the confusion matrix; tables mnist, fashion_mnist"),
    Slide(
        '"Can an MLP reproduce a ConvNet?"',
        "compare_priors",
        "",
        "figures/matrix.png, figures/learning.png, figures/filters.png; tables priors, priors_digits",
    ),
    Slide('"RNN / ConvNet / MLP"', "compare_priors", "--figure orders", "figures/orders.png"),
    Slide("Residual networks", "classify_images", "--model resnet_cifar", "tables degradation, fashion_mnist"),
    Slide('"BatchNorm"', "compare_priors", "--figure batch_norm", "figures/batch_norm.png"),
    Slide("Batch normalisation", "classify_images", "--set batch_norm=True", "table batchnorm"),
    Slide("Recurrent networks", "model_music", "--model rnn", "the piano-roll and its sound; table music_chung"),
    Slide(
        '"Classical view for: the error is (h(50) - 0.7)^2"',
        "explode",
        "",
        "figures/surface.png, figures/surface_3d.png, figures/paths.gif, figures/wall.png; table explode",
    ),
    Slide("LSTM, GRU", "explode", "", "figures/through_time.png, figures/distances.png; table explode"),
    Slide("LSTM, GRU", "model_text", "", "samples of text; tables ptb, memory, influence"),
    Slide("Sequence to sequence", "translate", "--model seq2seq", "translations; tables multi30k, lengths"),
    Slide("Attention", "translate", "--model attention_seq2seq", "alignments; table alignment"),
    Slide("The Transformer", "translate", "", "attention by head; table multi30k"),
    Slide("PixelRNN, PixelCNN", "model_images", "", "samples and completions; table binarized_mnist"),
    Slide("WaveNet", "model_audio", "", "spectrograms and sounds, beside what their law allows; table audio"),
    Slide("Variational autoencoders", "autoencode_images", "", "the manifold, the projector; table iwae"),
    Slide("Generative adversarial networks", "gan_images", "", "the same noise through all epochs; table gan"),
)
