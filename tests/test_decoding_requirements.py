"""A context that is missing, or that is none of the model's, is refused: nothing is drawn as if it were not there."""

import numpy as np
import pytest
import tensorflow as tf
from cases import CASES
from pixel_cases import BINARY, GATED, PIXEL_CASES, SMALL, PixelCase

from keras_dl import models
from keras_dl.decoding import pixels, requirements
from keras_dl.models.pixel_model import PixelModel

CONDITIONAL = [name for name, case in PIXEL_CASES.items() if case.context(1) is not None]
STEPWISE = [
    name for name, case in CASES.items() if hasattr(case.model, "begin") and not isinstance(case.model, PixelModel)
]
# A few pixels, so that a draw takes no time.
COLOUR = PixelCase(
    models.build_pixelcnn,
    {"input_shape": (1, 2, 2), "levels": 4, "output": "categorical", **SMALL, "num_blocks": 1, "top_filters": ()},
)
LABELLED = PixelCase(
    models.build_gated_pixelcnn,
    {"input_shape": (1, 2, 1), **BINARY, **GATED, "num_layers": 1, "top_filters": (), "num_classes": 3},
)


def source_of(case):
    """Whether a model of tests/cases.py begins with a source."""
    return isinstance(case.model.input, dict) and "source" in case.model.input


@pytest.mark.parametrize("row", CONDITIONAL)
def test_a_conditional_model_draws_nothing_without_its_context(row):
    case = PIXEL_CASES[row]
    model, images, context = case.model, case.images(2), case.context(2)
    mask, name = np.ones(images.shape[:3]), f"the model's {model.context_name}, one for each row; got None"
    calls = {
        "begin": lambda context: model.begin(context, rows=2),
        "sample": lambda context: pixels.sample(model, 2, 1, context=context),
        "complete": lambda context: pixels.complete(model, images, mask, 1, context=context),
        "with_context": lambda context: model.with_context(images, context),
    }
    for who, call in calls.items():
        with pytest.raises(ValueError, match=name):
            call(None)
        with pytest.raises(ValueError, match="context must have a row for each of the rows, 2; got 3"):
            call(case.context(3))
        wrong = np.zeros((2, 9), "float32")
        with pytest.raises(ValueError, match=f"{who}: {model.context_name} must have the shape"):
            call(wrong)
    with pytest.raises(ValueError, match="row for each of the rows, 2; got 1"):
        model.log_prob({"image": images, model.context_name: context[:1]})


def test_a_model_without_a_context_refuses_one():
    case = PIXEL_CASES["pixelcnn"]
    for call in (
        lambda: pixels.sample(case.model, 2, 1, context=np.array([0, 1])),
        lambda: case.model.with_context(case.images(2), np.array([0, 1])),
    ):
        with pytest.raises(ValueError, match=r"context must be None, since .* has none; got one of shape \(2,\)"):
            call()
    with pytest.raises(ValueError, match="rows must be a number"):
        case.model.begin()


def test_a_label_is_a_whole_number_of_a_class():
    case = LABELLED
    assert case.model.num_classes == 3 and PIXEL_CASES["gated_pixelcnn-map"].model.num_classes is None
    for label, said in (([0, 3], "from 0 to 2"), ([-1, 0], "from 0 to 2"), ([0.0, 1.0], "must be whole numbers")):
        with pytest.raises(ValueError, match=said):
            pixels.sample(case.model, 2, 1, context=np.array(label))
        with pytest.raises(ValueError, match=said):
            case.model.log_prob({"image": case.images(2), "label": np.array(label)})


def test_a_mask_is_one_for_each_pixel_of_each_image():
    case = COLOUR
    images, shape = case.images(2), (2, 1, 2, 2)
    for fits in (shape, shape[:3], (*shape[:3], 1)):
        assert pixels.complete(case.model, images, np.ones(fits), 1)[0].shape == shape
    for other in ((2, 1, 1), (1, 1, 2), (1, 2), (2, 1, 2, 3), (3, 1, 2), (2, 1, 1, 2)):
        with pytest.raises(ValueError, match="complete: mask must have the shape"):
            pixels.complete(case.model, images, np.ones(other), 1)
    with pytest.raises(ValueError, match="complete: images must have the shape"):
        pixels.complete(case.model, images[..., :1], np.ones(shape[:3]), 1)
    with pytest.raises(ValueError, match="where they are given, must hold whole levels from 0 to 3"):
        pixels.complete(case.model, images + 4, np.ones(shape), 1)
    nothing = np.zeros(shape)
    drawn = pixels.complete(case.model, images + 4, nothing, 1)[0]  # what is not given is not looked at
    np.testing.assert_array_equal(drawn, pixels.sample(case.model, 2, 1)[0])


def test_within_a_graph_of_unknown_shapes_and_values_an_assertion_refuses():
    case = LABELLED
    signature = [tf.TensorSpec((), tf.int32), tf.TensorSpec([None], tf.int32)]
    sample = tf.function(lambda n, label: pixels.sample(case.model, n, 1, context=label)[0], signature, autograph=False)
    signature = [tf.TensorSpec([None] * 4), tf.TensorSpec([None] * 3)]
    label = tf.constant([0, 1])
    complete = tf.function(
        lambda image, mask: pixels.complete(case.model, image, mask, 1, context=label)[0], signature, autograph=False
    )
    images = case.images(2)
    every = np.ones((2, 1, 2), "float32")
    assert tuple(sample(2, label).shape) == tuple(complete(images, every).shape) == images.shape
    for call, said in (
        (lambda: sample(3, label), "context must have a row for each of the rows"),
        (lambda: sample(2, tf.constant([0, 3])), "label must be from 0 to 2"),
        (lambda: complete(images, every[:, :, :1]), "mask must have a value for each pixel"),
        (lambda: complete(images[:1], every[:1]), "context must have a row for each of the rows"),
        (lambda: complete(images + 2, every), "whole levels from 0 to 1"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=said):
            call()


@pytest.mark.parametrize("row", STEPWISE)
def test_every_model_that_steps_refuses_a_context_that_is_not_its_own(row):
    """The models of texts and of translations, whose `begin` would not look at what it does not know."""
    case = CASES[row]
    source = tf.constant([[1, 2], [2, 1]])
    if source_of(case):
        with pytest.raises(ValueError, match="context must be the model's source, one for each row; got None"):
            case.model.begin(None)
        with pytest.raises(ValueError, match="a row for each of the rows, 3; got 2"):
            case.model.begin(source, rows=3)
        case.model.begin(source, rows=2)
    elif isinstance(case.model.input, dict):
        with pytest.raises(ValueError, match="context must have features and label; got features"):
            case.model.begin(source, rows=2)
        with pytest.raises(ValueError, match="context must be the model's features and label, one for each row"):
            case.model.begin(rows=2)
    else:
        with pytest.raises(ValueError, match="context must be None, since the model has none"):
            case.model.begin(source, rows=2)
        with pytest.raises(ValueError, match="rows must be a number"):
            case.model.begin()


def test_levels_are_whole_numbers_in_their_range():
    for values in ([0.0, 1.5], [-1.0], [4.0], [np.nan], [np.inf]):
        with pytest.raises(ValueError, match="image must hold whole levels from 0 to 3"):
            requirements.require_levels("image", tf.constant(values), 4, 0)
    assert requirements.require_levels("image", tf.constant([0.0, 3.0]), 4, "then") == "then"
    assert requirements.require_levels("image", tf.constant([0, 255], tf.uint8), 256, "then") == "then"
