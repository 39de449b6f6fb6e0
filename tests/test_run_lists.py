"""Lists and comparisons of runs: what they say, how fast, and what they do with folders that are no runs."""

import datetime
import fcntl
import json
import os
import re
import sys
import time

import pytest
from test_main import light, mistake, said
from test_pages import Reader

from keras_dl import figures, lock, machine, past_runs, run_comparison, run_lists, runs, settings

DATA = {
    **{split: {"examples": 100, "digest": split} for split in ("train", "validation", "test")},
    "classes": ["a", "b"],
    "preprocess": {"mean": "1"},
}
HISTORY = {"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.7], "val_accuracy": [0.5, 0.75, 0.8]}
HOSTILE = "<script>$x$\x1b[31m"
HOUR = 3600


def a_run(root, name="net-set-1", app="classify_images", *, metrics=None, history=HISTORY, hours=1, **changes):
    """Write a run's folder; `changes` replace settings, `config` further fields of config.json."""
    folder = root / "runs" / app / name
    folder.mkdir(parents=True)
    config = changes.pop("config", {})
    begun = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)
    asked = {"model": "net", "dataset": "set", "epochs": 3, "seed": 0, "set": [], "out": str(root), "trials": 2}
    asked |= {"optimizer": {"name": "adam", "learning_rate": 0.001}} | changes
    moments = {"started": [begun.isoformat()], "ended": (begun + datetime.timedelta(minutes=20)).isoformat()}
    (folder / "config.json").write_text(json.dumps({"settings": asked, "data": DATA} | moments | config))
    if history:
        lines = [",".join(["epoch", *history])]
        lines += [",".join(map(str, row)) for row in zip(range(1, 10), *history.values(), strict=False)]
        (folder / "history.csv").write_text("\n".join(lines) + "\n")
    if metrics:
        (folder / "finished.json").write_text(json.dumps({"metrics": metrics, "epochs": 3}))
    return folder


def rows(capsys, root, *words):
    """The list in a pipe as [{column: field}]."""
    header, *lines = said(capsys, "runs", "--out", root, *words).splitlines()
    names = header.split("\t")
    return [dict(zip(names, [*line.split("\t"), *[""] * len(names)], strict=False)) for line in lines]


# The list


def test_a_run_is_listed_with_its_state_and_its_metric(capsys, tmp_path):
    a_run(tmp_path, "net-set-1", metrics={"loss": 0.4, "accuracy": 0.91}, hours=50)
    a_run(tmp_path, "net-set-2", hours=5)
    a_run(tmp_path, "net-set-3", history={}, hours=0.5)
    held = lock.hold(tmp_path / "runs" / "classify_images" / "net-set-3")
    third, second, first = rows(capsys, tmp_path)
    held.release()
    assert {**first, "settings that differ": ""} == {
        "app": "classify_images", "name": "net-set-1", "state": "finished", "age": "2 d", "epochs": "3/3",
        "metric": "accuracy", "value": "0.91", "split": "test", "trials": "", "settings that differ": "",
    }  # fmt: skip
    # the accuracy of the epoch with the lowest loss, not the highest accuracy
    assert [second[name] for name in ("state", "metric", "value", "split")] == [
        "unfinished", "accuracy", "0.75", "validation",
    ]  # fmt: skip
    assert second["age"] == "5 h" and third["age"] == "30 min"
    assert (third["state"], third["epochs"], third["metric"]) == ("running", "0/3", "")
    assert rows(capsys, tmp_path)[0]["state"] == "unfinished"


def test_a_time_has_one_unit_and_is_rounded_down():
    seconds = [0, 59.9, 60, 3599, 3600, 47.9 * HOUR, 48 * HOUR, 100.5 * 24 * HOUR]
    assert [past_runs.duration(s) for s in seconds] == ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 d", "100 d"]


def test_the_best_epoch_is_that_of_the_number_that_the_run_monitors(capsys, tmp_path):
    monitor = {"monitor": {"name": "val_accuracy", "mode": "max"}}
    a_run(tmp_path, config=monitor, history=HISTORY | {"val_accuracy": ["nan", 0.75, 0.8]})
    assert rows(capsys, tmp_path)[0]["value"] == "0.8"


def test_only_the_settings_that_differ_are_listed(capsys, tmp_path):
    a_run(tmp_path, "net-set-1", out="elsewhere", optimizer={"name": "adam", "learning_rate": 0.01})
    a_run(tmp_path, "net-set-2", set=["depth=20"], hours=2)
    a_run(tmp_path, "net-set-3", hours=3, config={"chosen": {"sentence": "few data", "values": {"epochs": 40}}})
    first, second, third = rows(capsys, tmp_path)
    assert first["settings that differ"] == "learning_rate=0.01"
    assert second["settings that differ"] == "learning_rate=0.001, depth=20"
    assert third["settings that differ"] == "learning_rate=0.001" and third["epochs"] == "3/40"


def test_settings_of_a_search_differ_only_where_one_is(capsys, tmp_path):
    a_run(tmp_path, "net-set-1", trials=0, trial_epochs=5)
    a_run(tmp_path, "net-set-2", trials=4, trial_epochs=1, hours=2)
    assert [row["settings that differ"] for row in rows(capsys, tmp_path)] == ["", ""]
    a_run(tmp_path, "net-set-3", trials=4, trial_epochs=2, hours=3)
    assert [row["settings that differ"] for row in rows(capsys, tmp_path)] == ["", "trial_epochs=1", "trial_epochs=2"]


def test_settings_without_effect_do_not_differ(capsys, tmp_path):
    """The warm-up of another schedule, the rate below a head that is not new, the second moments of plain SGD."""
    sgd = {"name": "sgd", "learning_rate": 0.001, "schedule": "cosine"}
    a_run(tmp_path, "net-set-1", init="", init_rate_factor=0.1, optimizer=sgd | {"warmup": 4, "beta_2": 0.9})
    a_run(tmp_path, "net-set-2", init="", init_rate_factor=0.5, optimizer=sgd | {"warmup": 5, "beta_2": 0.99}, hours=2)
    assert [row["settings that differ"] for row in rows(capsys, tmp_path)] == ["", ""]
    noam = {"name": "adam", "learning_rate": 0.001, "schedule": "noam", "warmup": 7, "beta_2": 0.9}
    a_run(tmp_path, "net-set-3", init="net-set-1", init_rate_factor=0.5, optimizer=noam, hours=3)
    differ = [row["settings that differ"] for row in rows(capsys, tmp_path)]
    assert differ[:2] == ["optimizer=sgd, schedule=cosine"] * 2
    assert set(differ[2].split(", ")) == {"init=net-set-1", "optimizer=adam", "schedule=noam"}


def test_what_was_chosen_is_named_as_what_was_asked_for(capsys, tmp_path):
    """It is noted with the groups of its flags: "optimizer.learning_rate"."""
    values = {"optimizer.name": "sgd", "optimizer.learning_rate": 0.05, "set": {"depth": 14}}
    optimizer = {"name": "sgd", "learning_rate": 0.05}
    chosen = {"chosen": {"sentence": "few data", "values": values}}
    a_run(tmp_path, "net-set-1", optimizer=optimizer, set=["depth=14"], config=chosen)
    a_run(tmp_path, "net-set-2", hours=2)
    first, second = (row["settings that differ"] for row in rows(capsys, tmp_path))
    assert first == "optimizer=sgd, learning_rate=0.05, depth=14"
    assert second == "optimizer=adam, learning_rate=0.001"


def test_what_a_search_chose_stands_in_place_of_what_was_asked_for(capsys, tmp_path):
    """What the search drew besides the settings, such as a width, is no setting."""
    for number, rate in ((1, 0.25), (2, 0.5)):
        best = {"values": {"learning_rate": rate, "width": number}, "trial": 0, "score": 1.0, "monitor": "val_loss"}
        folder = a_run(tmp_path, f"net-set-{number}", hours=number) / "tuner"
        folder.mkdir()
        (folder / "best.json").write_text(json.dumps(best))
    a_run(tmp_path, "net-set-3", hours=3)
    differing = [row["settings that differ"] for row in rows(capsys, tmp_path)]
    assert differing == ["learning_rate=0.25", "learning_rate=0.5", "learning_rate=0.001"]


def test_settings_of_apps_are_not_mixed(capsys, tmp_path):
    a_run(tmp_path, "a-b-1", model="a", dataset="b")
    a_run(tmp_path, "c-d-1", "model_text", model="c", dataset="d", beam=3, seed=1)
    assert [row["settings that differ"] for row in rows(capsys, tmp_path)] == ["", ""]
    assert [row["name"] for row in rows(capsys, tmp_path, "--app", "model_text")] == ["c-d-1"]


def test_models_and_data_are_not_said_twice_unless_the_name_does_not_say_them(capsys, tmp_path):
    a_run(tmp_path, "net-set-1")
    a_run(tmp_path, "mlp-set-1", model="mlp", hours=2)
    assert [row["settings that differ"] for row in rows(capsys, tmp_path)] == ["", ""]
    a_run(tmp_path, "net-pets-1", dataset="my/pets", hours=3)
    assert rows(capsys, tmp_path)[2]["settings that differ"] == "model=net, dataset=my/pets"


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("age", "3 1 4 10 2"),
        ("name", "1 2 3 4 10"),
        ("accuracy", "1 2 3 10 4"),  # test figures first, then validation, those without last
        ("loss", "2 1 10 3 4"),
        ("val_accuracy", "3 1 10 2 4"),
        ("val_loss", "1 10 2 3 4"),
    ],
)
def test_a_list_is_sorted(capsys, tmp_path, sort, order):
    better = {"val_loss": [0.9], "val_accuracy": [0.99]}
    a_run(tmp_path, "net-set-1", metrics={"accuracy": 0.9, "loss": 0.4}, hours=2)
    a_run(tmp_path, "net-set-2", metrics={"accuracy": 0.8, "loss": 0.3}, hours=5)
    a_run(tmp_path, "net-set-3", history=better, hours=1)
    a_run(tmp_path, "net-set-4", history={"val_accuracy": ["nan"], "val_loss": ["nan"]}, hours=3)
    a_run(tmp_path, "net-set-10", hours=4)
    names = [row["name"].rpartition("-")[2] for row in rows(capsys, tmp_path, "--sort", sort)]
    assert names == order.split()


def test_trials_are_counted_where_a_search_was(capsys, tmp_path):
    folder = a_run(tmp_path)
    trial = {
        "trial": 0, "values": {}, "status": "FAILED", "score": None, "metrics": {}, "message": "x", "seconds": 1.0,
        "space": [],
    }  # fmt: skip
    (folder / "tuner").mkdir()
    (folder / "tuner" / "trials.json").write_text(json.dumps([trial]))
    assert rows(capsys, tmp_path)[0]["trials"] == "1"
    (folder / "history.csv").unlink()
    assert rows(capsys, tmp_path)[0]["trials"] == "1/2"


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2020-01-01t00:00:00z"])
def test_any_date_that_a_file_may_have_is_shown(capsys, tmp_path, start):
    a_run(tmp_path, "net-set-1")
    a_run(tmp_path, "net-set-2", config={"started": [start], "ended": start}, metrics={"loss": 0.5})
    assert "net-set-2" in said(capsys, "runs", "--out", tmp_path)
    assert "net-set-2" in said(capsys, "compare", "--root", tmp_path, "net-set-1", "net-set-2")


def test_a_finished_run_without_test_figures_is_not_called_unfinished(capsys, tmp_path):
    a_run(tmp_path, "net-set-1")
    finished = a_run(tmp_path, "net-set-2")
    (finished / "finished.json").write_text('{"metrics": {}}')
    text = said(capsys, "compare", "--root", tmp_path, "net-set-1", "net-set-2")
    assert "since not finished: A." in text and "though finished: B." in text


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("config.json", "{", "config.json is damaged: "),
        ("config.json", "{}", "config.json is damaged: it has no settings."),
        ("config.json", None, "net-set-2 is no run: it has no config.json."),
        ("config.json", '{"settings": {}, "started": ["yesterday"]}', "config.json is damaged: started"),
        ("config.json", '{"settings": {}, "chosen": 3}', "config.json is damaged: chosen"),
        ("config.json", '{"settings": {}, "monitor": {"name": "x", "mode": "up"}}', "damaged: monitor.mode"),
        ("finished.json", '{"metrics": {"loss": "low"}}', "finished.json is damaged: metrics.loss"),
        ("tuner", "", None),
        ("history.csv", "", "history.csv is damaged: "),
        ("history.csv", "epoch,loss\n1,low\n", "history.csv is damaged: could not convert"),
        ("history.csv", "epoch,loss\n1,0.5\n3,0.4\n", "history.csv is damaged: its epochs must be 1, 2, 3"),
        ("history.csv", "epoch,loss,loss\n1,0.5,0.5\n", "history.csv is damaged: its columns"),
        ("history.csv", "epoch,loss\n1\n", "history.csv is damaged: its columns"),
        ("history.csv", "loss\n", "history.csv is damaged: its columns"),
        ("history.csv", "epoch,loss\n", None),
        ("history.csv", "epoch,val_loss\n", None),
        ("history.csv", b"epoch,\xff\n", "history.csv is damaged: "),
    ],
)
def test_what_is_no_run_is_one_line_and_the_others_are_listed(capsys, tmp_path, file, text, complaint):
    a_run(tmp_path, metrics={"accuracy": 0.9})
    broken = a_run(tmp_path, "net-set-2", history={}, hours=2) / file
    broken.unlink(missing_ok=True)
    if text is not None:
        broken.write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "runs" / "classify_images" / "comparison.html").write_text("a page is no folder")
    (tmp_path / "runs" / "classify_images" / ".hidden").mkdir()
    run_lists.list_runs(Asked(out=str(tmp_path)))
    out, err = capsys.readouterr()
    assert "\nclassify_images\tnet-set-1\tfinished\t" in out
    assert err.count("\n") == (1 if complaint else 0) and (complaint or "") in err
    assert ("net-set-2" in out) == (complaint is None)


class Asked:
    """The command line of `runs`."""

    def __init__(self, out, app=None, sort="age"):
        self.out, self.app, self.sort = out, app, sort


def test_a_folder_whose_run_is_about_to_start_is_not_called_broken(capsys, tmp_path):
    folder = tmp_path / "runs" / "app" / "net-set-1"
    folder.mkdir(parents=True)
    held = lock.hold(folder)
    run_lists.list_runs(Asked(out=str(tmp_path)))
    held.release()
    out, err = capsys.readouterr()
    assert out == f"Runs: none in {tmp_path / 'runs'}.\n" and "a process is about to start it" in err


def test_names_cannot_act_on_a_terminal(capsys, monkeypatch, tmp_path):
    a_run(tmp_path, HOSTILE.replace("<script>", "[bold]"), "app[red]", seed="\x1b[0m[/bold]")
    a_run(tmp_path, "net-set-2", "app[red]")
    monkeypatch.chdir(tmp_path)  # a shorter title, which stays on its line
    for terminal in (False, True):
        monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setenv("COLUMNS", "150")
        text = said(capsys, "runs")
        assert "[bold]$x$\\x1b[31m" in text and "app[red]" in text and "seed=\\x1b[0m[/bold]" in text
        assert "\x1b[31m" not in text


def test_a_terminal_gets_a_table_of_each_app(capsys, monkeypatch, tmp_path):
    a_run(tmp_path, "net-set-1", metrics={"accuracy": 0.91, "loss": 0.3})
    a_run(tmp_path, "net-set-2", seed=5, hours=2)
    a_run(tmp_path, "net-set-1", "model_text", metrics={"nats": 1.25})
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    text = said(capsys, "runs", "--out", tmp_path)
    assert "0.75 val" in text and "val: on validation" in text and "\n│ seed=5 " in text
    assert "trials" not in text and "\t" not in text
    images, texts = text.split("1 run in ")
    assert "2 runs in" in images and "accuracy" in images and "nats" in texts and "settings" not in texts
    assert max(map(len, re.sub("\x1b\\[[0-9;]*m", "", text).splitlines())) <= 80  # rich's styles take no room


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--sort", "acuracy"], "--sort: must be one of age, name, accuracy, val_loss, val_accuracy, loss; got "
                                "'acuracy'. Nearest: accuracy."),
        (["--app", "classify_image"], "got 'classify_image'. Nearest: classify_images. There are: classify_images."),
        (["--apps", "x"], "unrecognized arguments: --apps. Nearest: --app."),
    ],
)  # fmt: skip
def test_a_mistake_in_the_list_is_one_line(tmp_path, words, complaint):
    a_run(tmp_path, metrics={"accuracy": 0.9})
    assert complaint in mistake("runs", "--out", tmp_path, *words)


def test_five_hundred_runs_are_listed_soon_and_without_tensorflow(tmp_path):
    for number in range(500):
        a_run(tmp_path, f"net-set-{number}", metrics={"accuracy": 0.5} if number % 2 else None, seed=number)
    text = light(["runs", "--out", tmp_path], 0)  # within its 1.5 seconds
    assert text.count("\n") == 501


def test_what_a_run_writes_is_what_the_list_reads(capsys, tmp_path):
    run = runs.start(machine.prepare(settings.Common(out=str(tmp_path), seed=3)), app="app", name="net-set")
    capsys.readouterr()
    (row,) = rows(capsys, tmp_path)
    assert (row["name"], row["state"], row["age"].partition(" ")[2]) == ("net-set-1", "running", "s")
    run.finish({"loss": 0.25})
    past = past_runs.read(run.path)
    assert (past.state, past.metrics, past.resumed) == ("finished", {"loss": 0.25}, 0)
    assert 0 <= past.seconds < 60 and time.time() - past.started < 60
    assert past.config["machine"] and past.config["versions"]["python"]
    resumed = settings.Common(out=str(tmp_path), seed=3, resume="net-set-1")
    runs.start(machine.prepare(resumed), app="app", name="net-set")
    assert past_runs.read(run.path).resumed == 1


# The lock


def test_whoever_looks_at_a_lock_is_waited_for(tmp_path, monkeypatch):
    """`held` shares the lock for a moment; a run that starts just then must not be refused."""
    lock.hold(tmp_path).release()
    looking = os.open(tmp_path / lock.FILE, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    assert not lock.held(tmp_path)  # two may look at once
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN))
    kept = lock.hold(tmp_path)
    os.close(looking)
    assert kept and lock.held(tmp_path)


def test_looking_at_a_lock_writes_nothing(tmp_path):
    assert not lock.held(tmp_path) and not list(tmp_path.iterdir())
    os.mkfifo(tmp_path / lock.FILE)
    assert not lock.held(tmp_path)


# The comparison


def compared(capsys, root, *words, **options):
    """What `compare` prints, and the page that it writes."""
    out = root / "page.html"
    text = said(capsys, "compare", *words, "--root", root, "--out", out)
    assert text.splitlines()[-1] == f"Page: {out}"
    return text, out.read_text(encoding="utf-8")


def test_a_comparison_says_what_differs(capsys, tmp_path):
    a = a_run(tmp_path, "net-set-1", metrics={"loss": 0.4, "accuracy": 0.91}, config={"commit": "a" * 40})
    (a / "report.json").write_text(json.dumps({"intervals": {"accuracy": [0.88, 0.93]}}))
    a_run(tmp_path, "net-set-2", seed=5, set=["depth=20"], metrics={"loss": 0.3, "accuracy": 0.95})
    best = {"values": {"learning_rate": 0.0125, "tuner/epochs": 1}, "trial": 0, "score": 1.0, "monitor": "val_loss"}
    (a / "tuner").mkdir()
    (a / "tuner" / "best.json").write_text(json.dumps(best))
    text, page = compared(capsys, tmp_path, "net-set-1", a.parent / "net-set-2")
    for line in ("seed\t0\t5", "depth\t\t20", "test accuracy\t0.91\t0.95", "searched learning_rate\t0.0125"):
        assert f"\n{line}\n" in text
    assert "tuner/" not in text + page  # what Hyperband adds is no hyperparameter
    assert "examples" not in text and "cannot be compared" not in page and "All have the same data." in page
    read = Reader(page)
    assert {"0.91", "0.88 to 0.93", "0.95", "depth", "aaaaaaaaaa", "20 min"} <= set(read.texts)
    assert read.tags.count("img") == 2 and "script" not in read.tags
    captions = [text for text in read.texts if " by epoch" in text]
    assert captions == [
        "loss by epoch; solid: validation, dashed: training", "accuracy by epoch",
    ]  # fmt: skip


def test_the_page_of_a_comparison_stands_beside_the_first_run(capsys, monkeypatch, tmp_path):
    first, _ = a_run(tmp_path), a_run(tmp_path, app="other")
    monkeypatch.chdir(first)
    said(capsys, "compare", ".", "other/net-set-1", "--root", tmp_path)
    assert "net-set-1" in (first.parent / "comparison.html").read_text()
    assert [row["name"] for row in rows(capsys, tmp_path)] == ["net-set-1", "net-set-1"]  # the page is no run


def test_curves_are_those_of_each_run(tmp_path):
    other = {"nats": [3.0, 2.0], "val_nats": [float("inf"), 2.5], "learning_rate": [0.1, 0.001]}
    pair = [past_runs.read(a_run(tmp_path)), past_runs.read(a_run(tmp_path, "net-text-1", "text", history=other))]
    curves = run_comparison.curves_of(pair)
    assert list(curves) == ["loss", "accuracy", "nats", "learning_rate"]
    assert curves["loss"] == {0: {"train": HISTORY["loss"], "validation": HISTORY["val_loss"]}}
    assert curves["nats"] == {1: {"train": other["nats"], "validation": other["val_nats"]}}
    comparison = run_comparison.Comparison(pair)
    (axes,) = run_comparison.curve_figure("nats", curves["nats"], comparison).axes
    train, validation = axes.lines
    assert (train.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    assert train.get_color() == validation.get_color() == figures.COLOURS[1]
    assert list(train.get_ydata()) == [3.0, 2.0] and list(train.get_xdata()) == [1, 2]
    assert validation.get_ydata()[1] == 2.5 and validation.get_ydata()[0] != validation.get_ydata()[0]
    assert axes.get_yscale() == "linear"
    (axes,) = run_comparison.curve_figure("learning_rate", curves["learning_rate"], comparison).axes
    assert axes.get_yscale() == "linear"  # 100 times is not yet wide
    curves["learning_rate"][1]["train"][1] = 0.0001
    (axes,) = run_comparison.curve_figure("learning_rate", curves["learning_rate"], comparison).axes
    assert axes.get_yscale() == "log"


def test_runs_of_different_apps_leave_fields_empty(capsys, tmp_path):
    other = {split: {"examples": 7, "digest": split[::-1]} for split in ("train", "validation", "test")}
    a_run(tmp_path, history={}, metrics={"accuracy": 0.91})
    a_run(tmp_path, "lm-x-1", "model_text", history={}, metrics={"nats": 1.5}, beam=3, config={"data": DATA | other})
    text, page = compared(capsys, tmp_path, "net-set-1", "lm-x-1")
    assert "\ntest accuracy\t0.91\n" in text and "\ntest nats\t\t1.5\n" in text and "beam" not in text
    assert "test examples\t100\t7" in text
    assert "Test figures cannot be compared between A | B: their test data are not the same." in page
    assert "A -&gt; B: train: 100 -&gt; 7 examples" in page


def test_other_training_data_alone_are_no_warning(capsys, tmp_path):
    a_run(tmp_path, history={}, metrics={"accuracy": 0.91})
    a_run(
        tmp_path,
        "net-set-2",
        metrics={"accuracy": 0.9},
        config={"data": DATA | {"train": {"examples": 9, "digest": "x"}}},
    )
    a_run(tmp_path, "net-set-3", history={}, config={"data": DATA | {"validation": {"examples": 100, "digest": "x"}}})
    text, page = compared(capsys, tmp_path, "net-set-1", "net-set-2", "net-set-3")
    assert "Test figures cannot" not in text and "B: train: 100 -&gt; 9 examples" in page
    assert "Validation figures and curves cannot be compared between A, B | C" in text
    assert "Without test figures, since not finished: C." in text


def test_runs_without_a_fingerprint_are_said_to_be_unknown(capsys, tmp_path):
    a_run(tmp_path, history={}, metrics={"accuracy": 0.91}, config={"data": DATA})
    config = a_run(tmp_path, "net-set-2", history={}, metrics={"accuracy": 0.9}) / "config.json"
    config.write_text(json.dumps({"settings": {"seed": 1}}))  # of an early version
    text, _ = compared(capsys, tmp_path, "net-set-1", "net-set-2")
    assert "Whether the data are the same is not known of B." in text


def test_more_runs_than_colours_are_said(capsys, monkeypatch, tmp_path):
    for number in range(1, 13):
        a_run(tmp_path, f"net-set-{number}")
    few, many = ([f"net-set-{number}" for number in range(1, most)] for most in (11, 13))
    monkeypatch.setattr(run_comparison.figures, "png", lambda figure: b"")  # which takes time
    assert "10 colours" not in compared(capsys, tmp_path, *few)[1]
    assert "10 colours" in compared(capsys, tmp_path, *many)[1]
    comparison = run_comparison.Comparison(past_runs.find(many, tmp_path))
    (axes,) = run_comparison.curve_figure("loss", run_comparison.curves_of(comparison.runs)["loss"], comparison).axes
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines}
    assert len(looks) == len(axes.lines) == 24


def test_what_a_run_is_called_stays_text(capsys, tmp_path):
    names = [HOSTILE, "$\\frac{1}", "_hidden"]
    history = {"$\\bad{$": [1.0, 2.0], "val_$\\bad{$": [1.0, 2.0]}  # as mathematics it cannot be drawn
    for name in names:
        a_run(tmp_path, name, history=history, config={"command": HOSTILE, "commit": HOSTILE, "machine": HOSTILE})
    text, page = compared(capsys, tmp_path, *names)
    assert "\x1b" not in text + page and "<script>" not in page
    comparison = run_comparison.Comparison(past_runs.find(names, tmp_path))
    ((name, of_runs),) = run_comparison.curves_of(comparison.runs).items()
    figure = run_comparison.curve_figure(name, of_runs, comparison)
    drawn = [text.get_text().replace(r"\$", "$").partition("  ")[2] for text in figure.legends[0].get_texts()]
    assert drawn[1:] == names[1:]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["net-set-1"], "compare: must have at least two runs; got 'net-set-1' alone."),
        ([], "required: RUN"),
        (["net-set-3", "a/net-set-3"], "compare: the runs must differ; got {root}/runs/a/net-set-3 twice."),
        (["net-set-3", "net-sot-3"], "compare: no run 'net-sot-3' in {root}/runs. Nearest: net-set-3. Runs there: "
                                     "net-set-1, net-set-3, net-set-1."),
        (["net-set-3", "net-set-1"], "'net-set-1' must be one run; it is {root}/runs/a/net-set-1 and "
                                     "{root}/runs/b/net-set-1. Name its folder."),
        (["a/net-set-1", "{root}"], "compare: {root} is no run: it has no config.json."),
        (["a/net-set-1", "b/net-set-1", "--out", "page.png"], "--out: must end in .html; got 'page.png'."),
        (["a/net-set-1", "b/net-set-1", "--out", ""], "--out: must end in .html; got ''."),
        (["a/net-set-1", "b/net-set-1", "--out", "{root}/runs/a/net-set-1/config.json/x.html"], "cannot be written: "),
    ],
)  # fmt: skip
def test_a_mistake_in_a_comparison_is_one_line(tmp_path, words, complaint):
    for name, app in (("net-set-1", "a"), ("net-set-3", "a"), ("net-set-1", "b")):
        a_run(tmp_path, name, app)
    words = [word.format(root=tmp_path) for word in words]
    assert complaint.format(root=tmp_path) in mistake("compare", "--root", tmp_path, *words)
    assert not list(tmp_path.rglob("*.html"))


def test_a_damaged_run_is_not_compared(tmp_path):
    a_run(tmp_path)
    (a_run(tmp_path, "net-set-2") / "history.csv").write_text("epoch\nx\n")
    assert "history.csv is damaged" in mistake("compare", "--root", tmp_path, "net-set-1", "net-set-2")


def test_a_comparison_needs_no_tensorflow(tmp_path):
    a_run(tmp_path, history={})
    a_run(tmp_path, "net-set-2", history={}, seed=1)
    light(["compare", "--root", tmp_path, "net-set-1", "net-set-2"], 0, out="seed\t0\t1\n")
