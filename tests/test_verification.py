"""An export is loaded when it is whole and this user's; what else there is needs the user's word."""

import errno
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import test_export as exports

from keras_dl import cards, errors, export, fresh_process, verification
from keras_dl.export import loading, saving


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fresh_process, "answers", exports.answers_in_this_process)
        return exports.save(tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(original, tmp_path):
    shutil.copytree(original, tmp_path / "tiny" / "1")
    return tmp_path / "tiny" / "1"


def change_card(folder, **fields):
    card = {**json.loads((folder / cards.CARD).read_text()), **fields}
    (folder / cards.CARD).write_text(json.dumps({name: value for name, value in card.items() if value is not None}))


def refused(folder, trust=False):
    """The one line with which it is refused, before TensorFlow reads anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading.tf.saved_model, "load", lambda *_: pytest.fail("it was loaded"))
        with pytest.raises(errors.UserError) as mistake:
            export.load(folder, trust=trust)
    assert "\n" not in str(mistake.value)
    return str(mistake.value)


def test_an_export_of_this_user_is_loaded_wherever_it_is_moved(folder):
    assert export.load(folder).call(image=exports.pictures())["class"].shape == (5,)


def linked_file(folder):
    (folder / "model.keras").rename(folder.parent / "model.keras")
    (folder / "model.keras").symlink_to(folder.parent / "model.keras")


def linked_folder(folder):
    (folder / "variables").rename(folder.parent / "variables")
    (folder / "variables").symlink_to(folder.parent / "variables")


def pipe(folder):
    (folder / "model.keras").unlink()
    os.mkfifo(folder / "model.keras")


def edit(name):
    def change(folder):
        with open(folder / name, "r+b") as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 1]))

    return change


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / "more.txt").write_text(""), "more.txt: is not in the card's list of files"),
        (lambda f: (f / "assets" / "more.txt").write_text(""), "more.txt: is not in the card's list of files"),
        (lambda f: (f / "more").mkdir(), "more: is not in the card's list of files"),
        (lambda f: (f / "more").symlink_to("/etc"), "more: is not in the card's list of files"),
        (lambda f: (f / "model.keras").unlink(), "model.keras: is missing"),
        (lambda f: shutil.rmtree(f / "variables"), "is missing"),
        (linked_file, "model.keras: is a link or no file"),
        (linked_folder, "variables: is not in the card's list of files"),
        (pipe, "model.keras: is a link or no file"),
        (edit("model.keras"), "model.keras: is not the one that export.save wrote"),
        (edit("saved_model.pb"), "saved_model.pb: is not the one that export.save wrote"),
        (edit("fingerprint.pb"), "fingerprint.pb: is not the one that export.save wrote"),
        (lambda f: change_card(f, files={}), "its card must list every file with its SHA-256"),
        (lambda f: change_card(f, files={"../x": "0" * 64}), "its card must list every file with its SHA-256"),
    ],
)
def test_what_is_not_as_it_was_written_is_refused_trusted_or_not(folder, harm, said, trust):
    harm(folder)
    assert said in refused(folder, trust)


def other_key(folder, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder.parent / "other"))
    verification.signature({})


KEY = "exports.key"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f, _: change_card(f, signature=None), "it has no signature"),
        (lambda f, _: change_card(f, signature="0" * 64), "its signature is of another user, or its card was changed"),
        (lambda f, _: change_card(f, metrics={"accuracy": 1.0}), "or its card was changed"),
        (other_key, "its signature is of another user"),
        (lambda f, patch: patch.setenv("XDG_CONFIG_HOME", str(f.parent / "none")), "this user has no key"),
    ],
)
def test_what_this_user_did_not_write_needs_the_users_word(folder, monkeypatch, harm, said):
    harm(folder, monkeypatch)
    text = refused(folder)
    assert said in text and "An export is a program" in text and "--trust" in text
    assert export.load(folder, trust=True).call(image=exports.pictures())["class"].shape == (5,)


def test_the_key_is_made_once_and_is_this_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first = verification.signature({"a": 1})
    path = tmp_path / "keras_dl" / KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and len(path.read_bytes()) == verification.KEY_BYTES
    assert os.listdir(path.parent) == [KEY]
    assert verification.signature({"signature": "x", "a": 1}) == first != verification.signature({"a": 2})
    verification._make_key(path)  # of another process, which comes too late
    assert verification.signature({"a": 1}) == first and os.listdir(path.parent) == [KEY]


@pytest.mark.parametrize("home", ["", "relative"])
def test_the_key_is_in_the_home_folder_where_no_other_is_named(tmp_path, monkeypatch, home):
    monkeypatch.setenv("XDG_CONFIG_HOME", home)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert verification.key_file() == tmp_path / ".config" / "keras_dl" / KEY


def readable_by_all(path):
    verification.signature({})
    path.chmod(0o644)


def too_short(path):
    verification.signature({})
    path.write_bytes(b"short")


def no_folder(path):
    path.parent.parent.rmdir()
    path.parent.parent.write_text("a file")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (readable_by_all, "readable by nobody else (chmod 600)"),
        (too_short, "is damaged: it must have 32 bytes; delete it"),
        (no_folder, "cannot be written: Not a directory"),
        (lambda path: path.mkdir(parents=True), "cannot be read: Is a directory"),
    ],
)
def test_without_a_key_an_export_is_made_and_says_that_it_is_not_signed(tmp_path, monkeypatch, capsys, harm, said):
    config = tmp_path / "config"
    config.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    harm(config / "keras_dl" / KEY)
    card = saving.signed({"name": "a", "endpoints": ENDPOINTS, "files": {}}, exports.a_run(tmp_path))
    text = capsys.readouterr().out
    assert "signature" not in card and text.count("\n") == 1
    assert text.startswith("export.save: the export is not signed: ") and said in text and "needs --trust" in text


ENDPOINTS = {
    "serve": {way: {"x": {"kind": "image", "dtype": "uint8", "shape": [None]}} for way in ("inputs", "outputs")}
}


def test_a_resumed_run_whose_export_was_damaged_exports_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(fresh_process, "answers", exports.answers_in_this_process)
    first = exports.save(tmp_path)
    assert exports.save(tmp_path) == first
    edit("model.keras")(first)
    second = exports.save(tmp_path)
    assert (first.name, second.name) == ("1", "2") and export.load(first.parent).path == second


def test_the_card_says_what_is_damaged_in_it(folder):
    change_card(folder, endpoints={"serve": {"inputs": {}, "outputs": {}}})
    assert (
        refused(folder)
        == f"{folder / 'card.json'} is damaged: endpoints.serve.inputs: expected `object` of length >= 1."
    )


def test_a_file_that_may_not_be_read_is_one_line(folder, monkeypatch):
    weights = next(folder.glob("variables/*.index"))

    def no_permission(path, *mode):
        if path == weights:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return open(path, *mode)

    monkeypatch.setattr(verification, "open", no_permission, raising=False)
    assert refused(folder) == f"{weights} cannot be read: Permission denied."


def test_the_card_must_be_of_this_saved_model(folder):
    endpoints = json.loads((folder / cards.CARD).read_text())["endpoints"]
    inputs = endpoints["serving_default"]["inputs"]
    change_card(folder, endpoints={"serving_default": {"inputs": inputs, "outputs": inputs}})
    with pytest.raises(errors.UserError, match="endpoints.serving_default.outputs must be as in the SavedModel: "):
        export.load(folder, trust=True)
    change_card(folder, endpoints={"other": endpoints["serving_default"]})
    with pytest.raises(errors.UserError, match="the SavedModel has no 'other'; it has serving_default"):
        export.load(folder, trust=True)


def test_the_place_of_a_key_is_isolated_in_tests():
    assert Path.home() not in verification.key_file().parents
