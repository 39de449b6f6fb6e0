"""TensorBoard's Projector page: vectors, such as latents, with labels and thumbnails of the pictures they belong to.

Keras' own callback names a TensorFlow checkpoint that Keras 3 does not write, so that its page stays empty. Here the
vectors are in a text file, which the page reads without a checkpoint.
"""

import math

import numpy as np
import tensorflow as tf

from keras_dl.atomic import atomic_file, write_atomic
from keras_dl.errors import printable

CONFIG = "projector_config.pbtxt"  # the name that TensorBoard looks for, in a folder with event files
FOLDER = "projector"
ENDINGS = {"vectors": ".tsv", "labels": "_labels.tsv", "thumbnails": "_thumbnails.png"}  # of its files
MOST = 10_000  # vectors
LARGEST = 64  # pixels of a thumbnail's larger side; the picture of all thumbnails may have 8,192


def write(run, vectors, labels, thumbnails, name="latents"):
    """Write vectors for the Projector page of a run; they replace those of the same name.

    Args:
        run: the runs.Run; the files are in run.tensorboard / "validation" / "projector".
        vectors: (N, D) numbers; of more than MOST, so many are drawn at random.
        labels: N texts, such as class names, by which points can be coloured.
        thumbnails: uint8 (N, h, w, C), C 1 or 3.
        name: of these vectors on the page.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    some = np.sort(np.random.default_rng(0).permutation(len(vectors))[:MOST])  # a folder's stand class by class
    vectors, thumbnails = np.asarray(vectors)[some], _small(np.asarray(thumbnails)[some])
    labels = np.asarray(list(labels), object)[some].tolist()
    place = run.tensorboard / "validation"
    config = ProjectorConfig()
    if (place / CONFIG).is_file():
        text_format.Parse((place / CONFIG).read_text(), config)
    others = [embedding for embedding in config.embeddings if embedding.tensor_name != name]
    del config.embeddings[:]
    config.embeddings.extend(others)
    paths = {part: f"{FOLDER}/{name}{ending}" for part, ending in ENDINGS.items()}
    height, width = thumbnails.shape[1:3]
    config.embeddings.add(
        tensor_name=name,
        tensor_shape=vectors.shape,
        tensor_path=paths["vectors"],
        metadata_path=paths["labels"],
        sprite={"image_path": paths["thumbnails"], "single_image_dim": (width, height)},
    )
    write_atomic(place / paths["vectors"], _table(vectors))
    # With two columns the file has a line of headings, without which the page names the only column after nothing.
    rows = [("label", "example"), *((printable(label), number) for label, number in zip(labels, some, strict=True))]
    write_atomic(place / paths["labels"], "".join(f"{label}\t{number}\n" for label, number in rows))
    with atomic_file(place / paths["thumbnails"]) as file:
        file.write(tf.io.encode_png(_beside_each_other(thumbnails)).numpy())
    write_atomic(place / CONFIG, text_format.MessageToString(config))


def _table(vectors):
    """(N, D) as lines of tab-separated numbers."""
    return "".join("\t".join(f"{value:.6g}" for value in row) + "\n" for row in vectors.tolist())


def _small(images):
    """Pictures of LARGEST pixels at most: every second, third ... pixel of larger ones."""
    step = -(-max(images.shape[1:3]) // LARGEST)
    return images[:, ::step, ::step]


def _beside_each_other(images):
    """(N, h, w, C) as one picture, row by row, with as many columns as rows and no gaps, as the page wants it."""
    count, height, width, channels = images.shape
    side = math.ceil(math.sqrt(count))
    whole = np.zeros((side * side, height, width, channels), np.uint8)
    whole[:count] = images
    rows = whole.reshape(side, side, height, width, channels).swapaxes(1, 2)
    return rows.reshape(side * height, side * width, channels)
