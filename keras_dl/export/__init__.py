"""Exports: a trained model as a folder that TensorFlow alone can serve, with a card that describes it.

saved_models/<name>/<version>/ is TensorFlow Serving's layout: a SavedModel with named endpoints and pre-processing
inside, model.keras, card.json and, on request, model.onnx and model.tflite. It is written to a hidden folder beside its
final place, reloaded in a fresh process that has TensorFlow and none of our code, and compared; only then is it
renamed.
"""

from keras_dl.endpoints import Endpoint as Endpoint
from keras_dl.endpoints.audio import audio as audio
from keras_dl.endpoints.gan import adversarial as adversarial
from keras_dl.endpoints.gan import drawer as drawer
from keras_dl.endpoints.images import classifier as classifier
from keras_dl.endpoints.latent import autoencoder as autoencoder
from keras_dl.endpoints.music import polyphony as polyphony
from keras_dl.endpoints.pixels import density as density
from keras_dl.endpoints.segmentation import segmenter as segmenter
from keras_dl.endpoints.text import language_model as language_model
from keras_dl.endpoints.text import sample_length as sample_length
from keras_dl.endpoints.translation import Translator as Translator
from keras_dl.endpoints.translation import translation as translation
from keras_dl.export.loading import Export as Export
from keras_dl.export.loading import load as load
from keras_dl.export.precision import in_float32 as in_float32
from keras_dl.export.saving import save as save
from keras_dl.formats import try_out as try_out
