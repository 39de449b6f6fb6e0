"""TensorBoard, started on a run of ours, shows what it should: by its HTTP API, and in a browser."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_dl import data, hyperparameters, runs, settings, summaries, training, tuning
from keras_dl.data import images
from keras_dl.features import grids

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CLASSES = ("ant", "bee", "cat")
TRIALS = 3
browser = pytest.mark.skipif(CHROMIUM is None, reason="browser: Chromium is not installed")


def scaled(x):
    return tf.cast(x, tf.float32) / 255.0


def examples(size, seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, size).astype(np.int32)
    image = rng.integers(0, 200, (size, 8, 8, 1)) + 25 * label[:, None, None, None]
    return data.Examples({"image": image.astype(np.uint8), "label": label})


def space(hp):
    return {"filters": hp.Choice("filters", [2, 4, 8], default=4)}


def compiled(hp):
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(**space(hp), kernel_size=3, name="conv")(image)
    x = layers.Flatten(name="flatten")(x)
    model = keras.Model(image, layers.Dense(3, dtype="float32", name="logits")(x))
    model.compile(
        keras.optimizers.Adam(hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-2)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    return model


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(run, history) after a search, a fit and its evaluation."""
    folder = tmp_path_factory.mktemp("tensorboard")
    run = runs.Run(path=folder / "run", root=folder, name="net-set", app="app")
    validation = examples(40, seed=1)
    parts = (
        data.batches(examples(64, seed=0), 16, collate=images.with_labels(scaled), shuffle=True),
        data.batches(validation, 20, collate=images.with_labels(scaled)),
    )
    best = tuning.search(compiled, *parts, run, trials=TRIALS, epochs=1)
    callbacks = [summaries.TensorBoard(run, *parts), summaries.Pictures(run, validation, scaled, CLASSES)]
    history = training.fit(compiled(best), *parts, run, epochs=3, callbacks=callbacks, verbose=0)
    arguments = hyperparameters.Arguments(settings.Training(), space, {"filters": 4})
    arguments.show(run, best, {"accuracy": 0.75})
    return run, history


LATENTS = np.random.default_rng(5).normal(size=(40, 6)).astype(np.float32)
NAMES = ["ant\tbee", "Ångström", *(f"class {number % 3}" for number in range(38))]


@pytest.fixture(scope="module")
def projected(finished):
    """The pictures of the vectors that are written for the Projector page, and what was there before them."""
    run, _ = finished
    pictures = examples(40, seed=1).features["image"]
    summaries.projector.write(run, LATENTS[:, :2], NAMES, pictures, name="other")
    summaries.projector.write(run, LATENTS[:3], NAMES[:3], pictures[:3])
    summaries.projector.write(run, LATENTS, NAMES, pictures)
    return pictures


@pytest.fixture(scope="module")
def animated(finished):
    """The bytes of an animated GIF of three pictures, which is written for the page of images."""
    run, _ = finished
    gif = grids.animation([np.full((9, 8, 1), 80 * number, np.uint8) for number in range(3)])
    with summaries.writing(run.tensorboard / "validation", 3), tf.name_scope("samples/"):
        summaries.animated("moving", gif)
    return gif


@pytest.fixture(scope="module")
def address(finished, projected, animated):
    """Of a TensorBoard that has read the run."""
    run, _ = finished
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(run.tensorboard), "--load_fast=false"]
    command += ["--host", "127.0.0.1", "--port", "0"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    said = []
    threading.Thread(target=lambda: said.extend(iter(server.stderr.readline, "")), daemon=True).start()
    try:
        runs = 2 + TRIALS - 1  # train, validation with the best trial, and the other trials
        found = None
        for _ in range(240):
            assert server.poll() is None, "".join(said)
            found = found or re.search(r"http://127\.0\.0\.1:\d+", "".join(said))
            if found and len(get(found[0], "runs")) == runs:
                break
            time.sleep(0.5)
        else:
            raise AssertionError("".join(said))
        yield found[0]
    finally:
        server.terminate()
        server.wait(20)


def get(address, route, body=None, **query):
    """What the HTTP API answers at /data/<route>."""
    url = f"{address}/data/{route}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    posted = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, posted, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        content = answer.read()
    return json.loads(content) if answer.headers["Content-Type"].startswith("application/json") else content


# TensorBoard's pages keep most of what they show in shadow roots, which --dump-dom leaves out: this brings it to light.
REVEAL = """<pre id="seen"></pre><script>
const seen = document.getElementById("seen");
const text = (node) => {
  if (node === seen || ["STYLE", "SCRIPT", "TEMPLATE"].includes(node.tagName)) return "";
  if (node.nodeType === Node.TEXT_NODE) return node.data.trim() + " ";
  const own = node.tagName === "IMG" && node.complete ? `[picture ${node.naturalWidth}x${node.naturalHeight}] ` : "";
  return own + [node.shadowRoot, ...node.childNodes].filter((n) => n).map(text).join("");
};
setInterval(() => { seen.textContent = text(document.body); }, 500);
</script></body>"""


@pytest.fixture(scope="module")
def revealed(address):
    """Of a server that hands TensorBoard's pages on with REVEAL in them."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length", 0))
            kind = {"Content-Type": self.headers.get("Content-Type", "text/plain")}
            request = urllib.request.Request(address + self.path, self.rfile.read(length) if length else None, kind)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    status, content, kind = answer.status, answer.read(), answer.headers["Content-Type"]
            except urllib.error.HTTPError as error:
                status, content, kind = error.code, error.read(), error.headers["Content-Type"]
            if self.path.partition("?")[0] == "/":
                content = content.replace(b"</body>", REVEAL.encode())
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def look(page, profile):
    """(what a page says, its screenshot as an array (h, w, 3)) in headless Chromium."""
    screenshot = profile / "page.png"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--enable-unsafe-swiftshader"]  # the Projector draws with WebGL
    command += [f"--user-data-dir={profile}", "--window-size=1400,1000", "--virtual-time-budget=20000"]
    dom = subprocess.run([*command, "--dump-dom", page], capture_output=True, text=True, timeout=180).stdout
    subprocess.run([*command, f"--screenshot={screenshot}", page], capture_output=True, timeout=180, check=True)
    seen = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
    assert seen, dom[-2000:]
    return " ".join(seen[1].split()), tf.io.decode_png(screenshot.read_bytes(), channels=3).numpy()


@pytest.mark.browser
@browser
@pytest.mark.parametrize("page", ["timeseries", "hparams", "graphs", "images", "projector"])
def test_the_page_shows_what_it_should(revealed, address, finished, tmp_path, page):
    run, _ = finished
    said, screenshot = look(f"{revealed}/#{page}", tmp_path)
    records = json.loads((run.tuner / "trials.json").read_text())
    others = sorted(path.name for path in (run.tensorboard / "variants").iterdir())
    listed = " ".join(["train validation", *(f"variants/{name}" for name in others)])
    expected = {
        "timeseries": [
            "metrics /accuracy",
            "metrics /loss",
            "metrics (test) /accuracy",
            "optimization 8 cards",
            listed,
        ],
        "hparams": [
            "filters",
            "learning_rate",
            "metrics (trial)/loss",
            "metrics (test)/accuracy",
            "validation",
            "final",
            *others,
        ]
        + [f"{r['score']:.5g}" for r in records],
        "graphs": ["Main Graph", "functional", "Op graph", "train"],
        "images": ["confusion_matrix", "misclassified", "step 3"],
        "projector": ["projector"],  # the rest is in a frame of its own
    }
    for words in expected[page]:
        assert words in said, said
    if page == "images":
        sizes = re.findall(r"\[picture (\d+)x(\d+)\]", said)
        assert len(sizes) == 3 and ("8", "9") in sizes
        assert all(int(w) > 300 and int(h) > 300 for w, h in sizes if (w, h) != ("8", "9"))
    if page == "projector":  # a cloud of thumbnails, each grey, between the two panes
        red, green, blue = screenshot[150:850, 350:1050].astype(int).reshape(-1, 3).T
        assert ((red == green) & (green == blue) & (red < 220)).sum() > 40 * 8 * 8
    # Not a blank page, nor an error on one: the orange bar at the top, and more than a few tones below it.
    red, _, blue = screenshot[10, 700].astype(int)
    assert screenshot.shape == (1000, 1400, 3) and red > blue + 150
    assert len(np.unique(screenshot[100:].reshape(-1, 3), axis=0)) > 50


@pytest.mark.slow
def test_the_projector_has_vectors_labels_and_thumbnails(address, projected):
    assert get(address, "plugin/projector/runs") == ["validation"]
    embeddings = {
        one["tensorName"]: one for one in get(address, "plugin/projector/info", run="validation")["embeddings"]
    }
    assert {name: one["tensorShape"] for name, one in embeddings.items()} == {"latents": [40, 6], "other": [40, 2]}
    assert embeddings["latents"]["sprite"]["singleImageDim"] == [8, 8]
    of = {"run": "validation", "name": "latents"}
    vectors = np.frombuffer(get(address, "plugin/projector/tensor", **of), np.float32).reshape(40, 6)
    np.testing.assert_allclose(vectors, LATENTS, rtol=1e-5)
    heading, *rows = get(address, "plugin/projector/metadata", **of).decode().splitlines()
    assert heading.split("\t")[0] == "label" and rows[:3] == ["ant\\tbee\t0", "Ångström\t1", "class 0\t2"]
    assert len(rows) == 40
    sprite = tf.io.decode_png(get(address, "plugin/projector/sprite_image", **of)).numpy()
    assert sprite.shape == (7 * 8, 7 * 8, 1)
    for number, picture in enumerate(projected):
        row, column = (8 * place for place in divmod(number, 7))
        np.testing.assert_array_equal(sprite[row : row + 8, column : column + 8], picture)


@pytest.mark.slow
def test_an_animated_picture_is_served_as_it_is(address, animated):
    [image] = get(address, "plugin/images/images", run="validation", tag="samples/moving", sample=0)
    with urllib.request.urlopen(f"{address}/data/plugin/images/individualImage?{image['query']}", timeout=60) as answer:
        assert answer.headers["Content-Type"] == "image/gif" and answer.read() == animated
    assert image["step"] == 3


@pytest.mark.slow
def test_scalars_are_the_history(address, finished):
    _, history = finished
    tags = get(address, "plugin/scalars/tags")
    assert {"metrics/loss", "metrics/accuracy", "optimization/learning_rate"} < set(tags["train"])
    assert {"metrics/loss", "metrics/accuracy", "optimization/gradient_norm/total"} < set(tags["validation"])
    for run, tag, name in (
        ("train", "metrics/loss", "loss"),
        ("validation", "metrics/loss", "val_loss"),
        ("validation", "metrics/accuracy", "val_accuracy"),
    ):
        points = get(address, "plugin/scalars/scalars", run=run, tag=tag)
        assert [step for _, step, _ in points] == [1, 2, 3]
        np.testing.assert_allclose([value for *_, value in points], history[name], rtol=1e-6)


@pytest.mark.slow
def test_hparams_show_the_fit_and_every_trial_with_values_and_metrics(address, finished):
    """The best trial's row is that of the fit, which has the same values: it has the metrics of both."""
    run, history = finished
    experiment = get(address, "plugin/hparams/experiment", {})
    assert {"filters", "learning_rate"} < {info["name"] for info in experiment["hparamInfos"]}
    metrics = {info["name"]["tag"] for info in experiment["metricInfos"]}
    assert {"metrics (trial)/loss", "metrics (trial)/accuracy", "metrics (test)/accuracy", "metrics/loss"} < metrics
    order = {
        "startIndex": 0, "sliceSize": 10, "colParams": [{"metric": info["name"]} for info in experiment["metricInfos"]],
        "allowedStatuses": ["STATUS_SUCCESS"],
    }  # fmt: skip
    groups = get(address, "plugin/hparams/session_groups", order)["sessionGroups"]
    best = json.loads((run.tuner / "best.json").read_text())["trial"]
    records = {f"variants/{r['trial']:03d}": r for r in json.loads((run.tuner / "trials.json").read_text())}
    records["validation"] = records.pop(f"variants/{best:03d}")
    assert {group["name"] for group in groups} == set(records) and len(records) == TRIALS
    for group in groups:
        record = records[group["name"]]
        which = "final" if group["name"] == "validation" else f"trial {record['trial']}"
        assert (record["values"] | {"fit": which}).items() <= group["hparams"].items()
        values = {m["name"]["tag"]: m["value"] for m in group["metricValues"]}
        for name in ("loss", "accuracy"):
            assert values[f"metrics (trial)/{name}"] == pytest.approx(record["metrics"][f"val_{name}"], rel=1e-6)
        if group["name"] == "validation":
            assert values["metrics (test)/accuracy"] == 0.75
            assert values["metrics/loss"] == pytest.approx(history["val_loss"][-1], rel=1e-6)


@pytest.mark.slow
def test_graph_and_images_are_served(address):
    assert get(address, "plugin/graphs/info")["train"]["run_graph"]
    graph = get(address, "plugin/graphs/graph", run="train").decode()
    assert all(re.search(rf"/{layer}(_\d+)?/BiasAdd", graph) for layer in ("conv", "logits"))
    tags = get(address, "plugin/images/tags")
    assert set(tags) == {"validation"}
    figures = {"pictures/confusion_matrix", "pictures/misclassified"}
    assert set(tags["validation"]) == {*figures, "samples/moving"}
    for tag in figures:
        [image] = get(address, "plugin/images/images", run="validation", tag=tag, sample=0)
        picture = get(address, f"plugin/images/individualImage?{image['query']}")
        height, width, _ = tf.io.decode_png(picture, channels=3).shape
        assert image["step"] == 3 and height > 300 and width > 300
