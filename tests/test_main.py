"""The command line: what it says, what it answers, and how it says what is wrong."""

import base64
import csv
import io
import json
import re
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_export as exports
from PIL import Image

from keras_dl import __main__ as command
from keras_dl import cards, errors, export, fresh_process, lecture, models, verification
from keras_dl.features import pictures
from keras_dl.features.image import EncodedImage

pytestmark = pytest.mark.usefixtures("loaded_once")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An export with a picture endpoint of either kind and one of scalars alone."""
    model = exports.tiny()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fresh_process, "answers", exports.answers_in_this_process)
        return exports.save(tmp_path_factory.mktemp("main"), model, endpoints=exports.all_endpoints(model))


def a_picture(path, pixels):
    Image.fromarray(pixels).save(path)
    return str(path)


@pytest.fixture
def two(tmp_path):
    """Two files, and the pixels in grey that are in them."""
    pixels = exports.pictures(2, 20, 15)[..., 0]
    return [a_picture(tmp_path / "a.png", pixels[0]), a_picture(tmp_path / "b.bmp", pixels[1])], pixels[..., None]


def said(capsys, *words):
    command.main([str(word) for word in words])
    return capsys.readouterr().out


def mistake(*words):
    with pytest.raises(errors.UserError) as error:
        command.main([str(word) for word in words])
    assert "\n" not in str(error.value)
    return str(error.value)


# Without TensorFlow


def light(words, status, out="", err=""):
    """Run the command line in a process in which TensorFlow cannot be imported; it must answer soon."""
    code = (
        "import sys, runpy; sys.modules.update(dict.fromkeys(['tensorflow', 'keras'])); sys.argv = sys.argv[1:]\n"
        "runpy.run_module('keras_dl', run_name='__main__', alter_sys=True)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, "keras_dl", *map(str, words)], cwd=ROOT, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime  # whatever else the machine does
    assert (done.returncode, "Traceback" in done.stderr.decode()) == (status, False), done.stderr.decode()
    assert out in done.stdout.decode() and err in done.stderr.decode()
    assert done.stderr.decode().count("\n") == (1 if status else 0)
    assert seconds < 3  # below 1 on a free machine; TensorFlow alone would be five and more
    return done.stdout.decode()


def test_list_needs_no_tensorflow(folder):
    text = light(["list", "--saved-models", folder.parent.parent], 0)
    assert "without the attention to a source, as in Liu et al. (arXiv:1801.10198, section 4.2.3)\t" in text
    for row in models.catalogue():
        assert f"{row.name}\t{row.parameters:,}\t{row.source}\t{row.file}\n" in text
        assert f"\n{row.name}\ttest_laws_" in text
    assert f"{folder}\tclassify_images\taccuracy 0.5\t2,855\t20" in text
    for app in (ROOT / "apps").glob("*.py"):
        assert f"apps/{app.name}\t" in text


def test_the_lecture_can_be_gone_through_with_the_list(monkeypatch):
    """Every app has its slide; apps, flags and tables that a slide names exist, and the pictures where one can see."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import tables

    apps = {app.stem: app.read_text(encoding="utf-8") for app in (ROOT / "apps").glob("*.py")}
    assert {slide.app for slide in lecture.SLIDES} == set(apps)
    text = light(["list"], 0)
    for slide in lecture.SLIDES:
        assert f"{slide.title}\tapps/{slide.app}.py {slide.flags}".rstrip() + f"\t{slide.figure}\n" in text
        flag, _, value = slide.flags.partition(" ")
        assert not flag or flag == "--set" or (flag[2:] + ": " in apps[slide.app] and f'"{value}"' in apps[slide.app])
        of_tables = re.search(r"tables? ([\w, ]+)", slide.figure)
        for table in of_tables[1].split(", ") if of_tables else []:
            assert table in tables.TABLES, table
        for name in re.findall(r"figures/(\w+)\.\w+", slide.figure):
            assert f'"{name}"' in apps[slide.app], name


def test_list_of_one_architecture_needs_no_tensorflow():
    text = light(["list", "lstm"], 0, out="file\tkeras_dl/models/lstm.py\n")
    assert "\ntest_laws_recurrent_layers.py\t" in text and "\nptb\tlstm_small\tperplexity (a word)\t" in text


@pytest.mark.parametrize("command_name", ["", "predict", "list", "show", "runs", "compare"])
def test_help_needs_no_tensorflow(command_name):
    assert light([*command_name.split(), "--help"], 0, out="usage: python -m keras_dl").isascii()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["lst"], "invalid choice: 'lst'"),
        (["predict", "saved_models/nothing", "x.png"], "saved_models/nothing: no such export folder."),
        (["show", "tests"], "tests: an export must have a SavedModel; there is no saved_model.pb in it."),
    ],
)
def test_a_mistake_is_one_line_and_status_2_without_tensorflow(words, complaint):
    light(words, 2, err=complaint)


def test_show_needs_no_tensorflow(folder):
    text = light(["show", folder], 0, out="input\timage\tuint8 (any, any, any, 1)\timage\n")
    assert "input\tseed\tint32 ()\tnumber, default 1\n" in text
    assert f"python -m keras_dl predict {folder}" in text and "accuracy 0.5" in text


# What it answers


@pytest.mark.parametrize("endpoint", ["serving_default", "serve"])
def test_predict_prints_the_top_classes_of_every_file(capsys, folder, two, endpoint):
    files, pixels = two
    rows = [line.split("\t") for line in said(capsys, "predict", folder, *files, "--endpoint", endpoint).splitlines()]
    assert rows[0] == ["input", "class", "probability", "then"] and [row[0] for row in rows[1:]] == files
    for row, wanted in zip(rows[1:], exports.answer(exports.tiny(), exports.preprocessor(), pixels), strict=True):
        order = np.argsort(-wanted)[:5]
        texts = [(exports.CLASSES[k], f"{100 * wanted[k]:.1f} %") for k in order]
        assert (row[1], row[2]) == texts[0]
        assert row[3] == ", ".join(f"{name} {percent}" for name, percent in texts[1:])


def test_predict_writes_json_and_csv(capsys, folder, two, tmp_path):
    files, pixels = two
    wanted = exports.answer(exports.tiny(), exports.preprocessor(), pixels)
    said(capsys, "predict", folder, "--out", tmp_path / "o.json", *files)
    for answer, file, row in zip(json.loads((tmp_path / "o.json").read_text()), files, wanted, strict=True):
        assert answer["input"] == file and answer["class"] == exports.CLASSES[row.argmax()]
        np.testing.assert_allclose(answer["probabilities"], row, atol=1e-6)
    said(capsys, "predict", folder, *files, "--out", tmp_path / "o.csv")
    for answer, file, row in zip(
        csv.DictReader(io.StringIO((tmp_path / "o.csv").read_text())), files, wanted, strict=True
    ):
        assert answer["input"] == file and answer["classes_1"] == exports.CLASSES[row.argmax()]
        np.testing.assert_allclose([float(answer[f"probabilities_{name}"]) for name in exports.CLASSES], row, atol=1e-6)


def test_predict_sets_scalars_over_the_cards_defaults(capsys, folder, tmp_path):
    loaded = export.load(folder)
    for sets, given in ([], {"n": 3, "seed": 1}), (["--set", "n=5", "--set", "seed=8"], {"n": 5, "seed": 8}):
        said(capsys, "predict", folder, "--endpoint", "sample", *sets, "--out", tmp_path / "o.json")
        rows = json.loads((tmp_path / "o.json").read_text())
        np.testing.assert_allclose([row["noise"] for row in rows], loaded.call("sample", **given)["noise"])


def test_the_folder_of_the_name_and_the_command_in_the_card_work(capsys, folder, two):
    assert said(capsys, "predict", folder.parent, *two[0]) == said(capsys, "predict", folder, *two[0])
    words = cards.read(folder)["call"]["predict"].replace("PICTURE.png", two[0][0]).split()
    assert words[:3] == ["python", "-m", "keras_dl"] and two[0][0] in said(capsys, *words[3:])


@pytest.mark.parametrize(("level", "border", "said_so"), [(255, 10, 1), (10, 10, 0), (128, 10, 0), (0, 250, 1)])
def test_a_picture_that_looks_inverted_is_said_in_one_line(capsys, folder, two, tmp_path, level, border, said_so):
    copy = tmp_path / "tiny" / "1"
    shutil.copytree(folder, copy)
    card = cards.read(copy)
    for config in card["features"].values():
        if "border" in config:
            config["border"] = border
    (copy / cards.CARD).write_text(cards.text(card | {"signature": verification.signature(card)}))
    pixels = np.full((20, 20), level, np.uint8)
    pixels[6:14, 6:14] = 255 - level
    command.main(["predict", str(copy), a_picture(tmp_path / "x.png", pixels)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == said_so and all("x.png: its border is" in line for line in lines)


def test_colour_is_never_called_inverted(tmp_path):
    for channels, lines in (1, 1), (3, 0):
        feature = EncodedImage(exports.preprocessor(channels))
        file = a_picture(tmp_path / "white.png", np.full((9, 9, 3), 255, np.uint8))
        assert len(feature.remarks(file, [feature.read(feature.check(file))])) == lines


def test_a_terminal_gets_tables(capsys, monkeypatch, folder):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    text = said(capsys, "list", "--saved-models", folder.parent.parent)
    assert "┏" in text and "convnet" in text and "\t" not in text


def test_list_says_where_a_card_is_broken_and_where_nothing_is(capsys, folder, tmp_path):
    assert f"Exports: none in {tmp_path}." in said(capsys, "list", "--saved-models", tmp_path)
    shutil.copytree(folder, tmp_path / "tiny" / "4")
    (tmp_path / "tiny" / "4" / cards.CARD).write_text("{")
    assert "tiny/4/card.json is damaged: Expecting property name" in said(capsys, "list", "--saved-models", tmp_path)


# What is wrong


@pytest.mark.parametrize("endpoint", ["serving_default", "serve"])
def test_one_bad_file_does_not_void_the_others(folder, two, tmp_path, capsys, endpoint):
    (a, b), _ = two
    broken, empty, out = tmp_path / "broken.png", tmp_path / "empty.png", tmp_path / "o.csv"
    broken.write_bytes(Path(a).read_bytes()[:150])
    empty.touch()
    with pytest.raises(SystemExit) as stop:
        command.main(["predict", str(folder), a, str(broken), str(empty), "no.png", b, "--out", str(out)]
                     + ["--endpoint", endpoint])  # fmt: skip
    assert stop.value.code == 1
    said_out, said_err = capsys.readouterr()
    assert [line.split("\t")[0] for line in said_out.splitlines()] == ["input", a, b, f"written: {out}"]
    assert sorted(said_err.splitlines()) == sorted([
        f"predict: {broken} is no readable JPEG, PNG, GIF, BMP or WebP picture.",
        f"predict: {empty} is empty: it has 0 bytes.",
        "predict: no such file: no.png.",
    ])  # fmt: skip
    assert [row["input"] for row in csv.DictReader(io.StringIO(out.read_text()))] == [a, b]


def test_where_nothing_can_be_answered_nothing_is_written(folder, two, tmp_path, capsys):
    broken, out = tmp_path / "broken.png", tmp_path / "o.csv"
    broken.write_bytes(Path(two[0][0]).read_bytes()[:150])
    text = mistake("predict", folder, broken, "--out", out)
    assert text == f"predict: {broken} is no readable JPEG, PNG, GIF, BMP or WebP picture."
    assert mistake("predict", folder, broken, broken, "--out", out) == "predict: none of 2 inputs could be answered."
    assert capsys.readouterr().err.splitlines() == [text, text] and not out.exists()


def test_a_folder_means_its_pictures_by_name(folder, two, tmp_path, capsys):
    pictures = tmp_path / "some pics [1]"
    (pictures / "inside.png").mkdir(parents=True)
    for name in ("c.PNG", "a.bmp", ".b.png", "notes.txt"):
        shutil.copy(two[0][1 if name == "a.bmp" else 0], pictures / name)
    command.main(["predict", str(folder), str(pictures), two[0][0]])
    said_out, said_err = capsys.readouterr()
    assert [line.split("\t")[0] for line in said_out.splitlines()[1:]] == [
        f"{pictures}/a.bmp", f"{pictures}/c.PNG", two[0][0]
    ]  # fmt: skip
    assert said_err.splitlines() == [
        f"{pictures}: left out, hidden or the system's own: 1 (.b.png)",
        f"{pictures}: left out, folders: 1 (inside.png)",
        f"{pictures}: left out, no pictures by their endings: 1 (notes.txt)",
    ]


def test_what_an_export_says_of_itself_does_not_command_the_terminal(folder, two, tmp_path, capsys):
    """Colours, titles and new lines that stand in a card, the name of a class, a file or a folder."""
    evil = "\x1b]0;title\x07\x1b[31m\u202eabc\x9b1m\n# a line\r"
    copy = tmp_path / "tiny" / "1"
    shutil.copytree(folder, copy)
    card = cards.read(copy)
    endpoints = {
        **card["endpoints"],
        evil: {way: {evil: card["endpoints"]["sample"]["inputs"]["n"]} for way in ("inputs", "outputs")},
    }
    card |= {"app": evil, evil: {evil: [evil]}, "metrics": {evil: 1.5}, "endpoints": endpoints}
    card |= {"call": {evil: evil, "rest": {evil: evil}}, "created": evil}
    (copy / cards.CARD).write_text(cards.text(card))
    picture = tmp_path / f"{evil.replace('/', '')}.png"
    shutil.copy(two[0][0], picture)
    texts = [said(capsys, "list", "--saved-models", tmp_path), said(capsys, "show", copy)]
    texts.append(said(capsys, "predict", folder, picture))
    texts.append(mistake("predict", copy, "--endpoint", "x"))
    for text in texts:
        assert not set(text) & set("\x1b\x07\x9b\u202e\r") and r"\x1b]0;title\x07" in text
        assert not any(line.startswith("# a line") for line in text.splitlines()) or text == texts[1]


def test_a_file_that_the_export_refuses_is_named_with_the_bound(folder, two, tmp_path):
    heavy = tmp_path / "heavy.png"
    heavy.write_bytes(Path(two[0][0]).read_bytes() + bytes(pictures.MOST_BYTES))
    text = mistake("predict", folder, heavy)
    assert text == f"predict: {heavy} is refused: it may have at most {pictures.MOST_BYTES} bytes."


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["{a}", "--set", "seed=1"], "--set: endpoint serving_default has no scalar inputs; it takes image_bytes."),
        (["--endpoint", "sample", "--set", "sed=1"], "Nearest: seed. Arguments: n, seed."),
        (["--endpoint", "sample", "--set", "seed=many"], "--set: seed must be int32; got 'many'."),
        (["--endpoint", "sample", "--set", "seed=1.5"], "--set: seed must be int32; got 1.5."),
        (["--endpoint", "sample", "{a}"], "endpoint sample takes no files; got {a}."),
        (["--endpoint", "serv"], "has no 'serv'. Nearest: serve. It has: serving_default, serve, sample."),
        ([], "endpoint serving_default takes pictures; name one or more files."),
        (
            ["{dir}/none"],
            "{dir}/none is a folder without pictures (.jpg, .jpeg, .jpe, .jfif, .png, .gif, .bmp, .webp).",
        ),
        (["/dev/null"], "predict: /dev/null is no regular file."),
        (["{dir}/empty.png"], "predict: {dir}/empty.png is empty: it has 0 bytes."),
        (["{dir}/" + "x" * 300], "predict: no such file: {dir}/xxx"),
        (["{a}", "--out", "{dir}/none"], "--out: must end in .json or .csv"),
        (["{a}", "--out", "{dir}/folder.csv"], "--out: {dir}/folder.csv cannot be written: it is a folder."),
        (
            ["--endpoint", "sample", "--set", "seed=9999999999"],
            "seed must be int32, from -2147483648 to 2147483647; got",
        ),
        (["--endpoint", "sample", "--set", "seed=True"], "--set: seed must be int32; got True."),
        (["{dir}/aa.png"], "no such file: {dir}/aa.png. Nearest: {a}."),
        (["{a}", "--out", "{dir}/x.txt"], "--out: must end in .json or .csv; got {dir}/x.txt."),
        (["{a}", "--out", "{a}/x.csv"], "--out: {a}/x.csv cannot be written:"),
        (["{a}", "--endpont", "serve"], "unrecognized arguments: --endpont. Nearest: --endpoint."),
        (["{a}", "--end", "serve"], "unrecognized arguments: --end"),
    ],
)
def test_mistakes_are_one_line_that_says_what_would_do(folder, two, tmp_path, words, complaint):
    names = {"a": two[0][0], "dir": tmp_path}
    (tmp_path / "none").mkdir()
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "empty.png").touch()
    text = mistake("predict", folder, *(word.format(**names) for word in words))
    assert complaint.format(**names) in text


def test_a_truncated_export_is_one_line(folder, two, tmp_path):
    copy = tmp_path / "tiny" / "1"
    shutil.copytree(folder, copy)
    (copy / cards.SAVED_MODEL).write_bytes((copy / cards.SAVED_MODEL).read_bytes()[:1000])
    assert "saved_model.pb: is not the one that export.save wrote" in mistake("predict", copy, two[0][0])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["predct"], "Nearest: predict."),
        (["list", "--saved-model", "x"], "unrecognized arguments: --saved-model. Nearest: --saved-models."),
        (["list", "convnt"], "list: no architecture 'convnt'. Nearest: convnet. There are: linear, mlp, convnet,"),
        (["list", "convnet", "extra"], "unrecognized arguments: extra"),
        ([], "required: list|predict|show|runs|compare"),
        (["predict"], "required: EXPORT"),
    ],
)
def test_a_mistyped_command_line_names_the_nearest(words, complaint):
    assert complaint in mistake(*words)


def test_the_shell_lines_of_the_page_on_serving_make_a_request_of_a_large_picture(tmp_path):
    """A command's argument may have 128 kB at most: a picture goes through a file."""
    picture = np.random.default_rng(0).bytes(400_000)
    (tmp_path / "picture.png").write_bytes(picture)
    page = (ROOT / "docs" / "serving.md").read_text()
    (line,) = [line.strip() for line in page.splitlines() if line.strip().startswith("printf")]
    for shell in ("sh", "bash"):
        subprocess.run([shell, "-e", "-c", line], cwd=tmp_path, check=True)
        body = json.loads((tmp_path / "request.json").read_text())
        assert base64.b64decode(body["instances"][0]["image_bytes"]["b64"]) == picture
    assert "curl -d @request.json " in page


@pytest.mark.parametrize("name", ["plain", "my pics [2024]", 'it\'s "quoted" $HOME `x`', "back\\slash", "line\nend"])
def test_the_commands_in_a_card_name_any_folder(folder, two, tmp_path, name):
    place = tmp_path / name / "1"
    shutil.copytree(folder, place)
    call = cards.how_to_call(place, cards.read(folder))
    assert shlex.split(call["predict"])[4] == str(place)
    names = {}
    exec(call["python"].replace("PICTURE.png", two[0][0]), names)
    assert names["answer"]["class"].numpy()[0].decode() in exports.CLASSES
    assert "/" not in call["rest"]["url"].partition("models/")[2] and json.dumps(call["rest"]["body"])
