"""Features: the inputs and outputs of a served model, each kind described in one place.

A feature describes a named tensor: its dtype and shape, how it is read from a file or from words and written to a file,
how it is shown, an example of it, and what an export's card says about it. Endpoints are functions from features to
features. `predict`, the calls in a card, warm-up, verification, TensorBoard's samples and the loading of a user's
folder use nothing but features.

A new kind of data is one file in this folder, with a subclass of Feature, and one row of KINDS. Nothing here imports
TensorFlow before something is computed.
"""

import importlib

from keras_dl import json_files
from keras_dl.errors import UserError
from keras_dl.features.base import Feature, Source

__all__ = ["KINDS", "Feature", "Source", "feature_class", "from_config"]

# {kind: "file:class" in this folder, or a class}. A card names the kind of every input and output.
KINDS = {
    "image": "image:Image",
    "image_bytes": "image:EncodedImage",
    "mask": "mask:Mask",
    "label_mask": "masks:LabelMask",
    "label_volume": "masks:LabelVolume",
    "cubic_millimetres": "masks:ClassVolumes",
    "probability_map": "masks:ProbabilityMap",
    "latent": "latent:Latent",
    "class": "classes:Label",
    "classes": "classes:BestLabels",
    "scores": "classes:BestProbabilities",
    "probabilities": "classes:Probabilities",
    "text": "text:Text",
    "texts": "text:Texts",
    "sentence": "sentences:Sentence",
    "sentence_target": "sentences:TargetSentence",
    "source_tokens": "sentences:SourceTokens",
    "target_tokens": "sentences:TargetTokens",
    "alignment": "sentences:Alignment",
    "audio": "audio:Audio",
    "audio_bytes": "audio:EncodedAudio",
    "audio_samples": "audio:AudioSamples",
    "roll": "piano_roll:Roll",
    "roll_steps": "piano_roll:Steps",
    "volume": "volumes:SpacedVolume",
    "spacing": "volumes:Spacing",
    "number": "numbers:Number",
    "count": "numbers:Count",
    "nats": "numbers:Nats",
    "nats_per_image": "likelihoods:PictureNats",
    "bits_per_dimension": "likelihoods:PictureBits",
    "score": "numbers:Score",
}


def feature_class(kind):
    """The class of a kind; for an unknown kind the base class Feature, which cannot be read from files."""
    entry = KINDS.get(kind, Feature)
    if not isinstance(entry, str):
        return entry
    file, name = entry.split(":")
    return getattr(importlib.import_module(f"{__name__}.{file}"), name)


def from_config(kind, config, where):
    """The feature that a card describes.

    Args:
        kind: a key of KINDS.
        config: what the feature's config() returned, read from JSON.
        where: place of the config, for the message.

    Raises:
        UserError: the config does not fit the kind; the message names the field.
    """
    cls = feature_class(kind)
    config = json_files.check(config, cls.CONFIG, where)
    try:
        return cls.from_config(config)
    except KeyError as error:
        raise UserError(f"{where} is damaged: it must have {error.args[0]}.") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{where} is damaged: {str(error).rstrip('.')}.") from error
