"""Features: what goes into a model and what comes out of it, said once.

A feature is a named tensor of a kind: its dtype and shape, how a file or words become it and how it becomes a file, how
it is shown, an example of it, and what an export's card says of it. Endpoints are functions from features to features.
`predict`, the card's calls, warm-up, verification, TensorBoard's samples and a user's folder go by features alone.

A new kind is one file in this folder, with a subclass of Feature, and one row of KINDS. Nothing here imports TensorFlow
before something is computed.
"""

import importlib

from keras_dl import records
from keras_dl.errors import UserError
from keras_dl.features.base import Feature, Source

__all__ = ["KINDS", "Feature", "Source", "feature_class", "from_config"]

# kind: "file:class" in this folder, or a class. A card names the kind of every input and output.
KINDS = {
    "image": "image:Image",
    "image_bytes": "image:EncodedImage",
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
    "roll": "piano_roll:Roll",
    "roll_steps": "piano_roll:Steps",
    "number": "numbers:Number",
    "count": "numbers:Count",
    "nats": "numbers:Nats",
    "score": "numbers:Score",
}


def feature_class(kind):
    """The class of a kind; a kind that KINDS does not have is a plain Feature, which no file can feed."""
    entry = KINDS.get(kind, Feature)
    if not isinstance(entry, str):
        return entry
    file, name = entry.split(":")
    return getattr(importlib.import_module(f"{__name__}.{file}"), name)


def from_config(kind, config, where):
    """The feature that a card describes.

    Args:
        kind: a row of KINDS.
        config: what the feature's config() gave, read from JSON.
        where: it stands, for the message.

    Raises:
        UserError: the config is not one of that kind; says which field.
    """
    cls = feature_class(kind)
    config = records.check(config, cls.CONFIG, where)
    try:
        return cls.from_config(config)
    except KeyError as error:
        raise UserError(f"{where} is damaged: it must have {error.args[0]}.") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{where} is damaged: {str(error).rstrip('.')}.") from error
