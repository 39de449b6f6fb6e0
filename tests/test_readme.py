"""The program of README.md's "Use it as a library", run as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest

from keras_dl import errors, export, machine, runs, settings, training

README = Path(__file__).resolve().parent.parent / "README.md"


def block():
    (python,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return python


@pytest.mark.slow
def test_the_ten_lines_train_export_and_give_the_same_weights_every_time(tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    first, again = {}, {}
    exec(block(), first)
    assert first["metrics"]["accuracy"] > 0.5
    assert (tmp_path / "saved_models" / "convnet-digits" / "1" / "saved_model.pb").is_file()
    keras.random.normal((3,)), np.random.random()  # what runs in between does not matter
    keras.layers.Dense(2).build((None, 2))
    monkeypatch.setattr(export, "save", lambda *_, **__: None)
    exec(block(), again)
    assert again["run"].path.name == "convnet-digits-2" and again["metrics"] == first["metrics"]
    for one, two in zip(first["model"].get_weights(), again["model"].get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_model_that_the_run_did_not_build_is_not_trained(tmp_path):
    """It cannot be written in an order in which the weights come before the seed."""
    import keras

    def compiled():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="early")
        model.compile("sgd", "mse")
        return model

    early, prepared = compiled(), machine.prepare(settings.Common(out=str(tmp_path)))
    run = runs.start(prepared, app="mine", name="early-none")
    with pytest.raises(errors.UserError, match=r"must be made by run.build\(compiled\).*; got 'early'") as caught:
        training.fit(early, None, None, run, epochs=1)
    assert "\n" not in str(caught.value)
    run.build(compiled)
    with pytest.raises(errors.UserError, match="made by run.build"):  # another model, of the same name
        training.fit(early, None, None, run, epochs=1)
