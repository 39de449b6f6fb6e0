"""Checks that an export is complete and was written by this user, before it is loaded.

A SavedModel is a program: TensorFlow executes it, with access to files and network. Therefore export.save signs the
card, which lists every file with its SHA-256, with a random key that only this user can read (HMAC-SHA256). An export
with another signature, or none, is somebody else's program: it is loaded only if the user says that its origin is
trusted. Nothing here imports TensorFlow: all is checked before TensorFlow reads a byte.
"""

import hashlib
import hmac
import json
import os
import secrets
import stat
from pathlib import Path

from keras_dl.errors import UserError

KEY_BYTES = 32
PURPOSE = b"keras_dl export, card and files, 1\n"  # signed too, so that the signature is valid for nothing else
CARD = "card.json"  # has the list of files, and is not in it
FOLDERS = ("assets", "variables")  # TensorFlow creates them even if they stay empty


class NoKey(Exception):
    """This user's key cannot be read or created; the message says why."""


def key_file():
    """Path of this user's key: keras_dl/exports.key in XDG_CONFIG_HOME, by default ~/.config."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(configured if os.path.isabs(configured) else os.path.expanduser("~/.config"), "keras_dl", "exports.key")


def signature(card):
    """HMAC-SHA256 of the card without its field "signature", with this user's key, which is created if there is none.

    Raises:
        NoKey: the key cannot be read or created.
    """
    path = key_file()
    if not os.path.lexists(path):
        _make_key(path)
    return _signature(card, _key(path))


def check(folder, card, trusted=False):
    """Raise UserError unless the export is complete, and written by this user or `trusted`.

    Args:
        folder: Path of the export's version.
        card: its card, as cards.read returns it.
        trusted: whether to accept an export of another user.
    """
    check_files(folder, card["files"])
    reason = None if trusted else not_ours(card)
    if reason:
        raise UserError(
            f"{folder}: this user's export.save did not write it: {reason}. An export is a program, and loading it "
            "runs it. Where you trust its origin, say --trust (in Python load(..., trust=True)), or export again."
        )


def not_ours(card):
    """The reason why the card cannot be verified as this user's; None if it is verified."""
    path = key_file()
    if "signature" not in card:
        return "it has no signature"
    if not os.path.lexists(path):
        return f"it is signed, and this user has no key ({path})"
    try:
        expected = _signature(card, _key(path))
    except NoKey as error:
        return str(error)
    if not hmac.compare_digest(expected, card["signature"]):
        return "its signature is of another user, or its card was changed"
    return None


def check_files(folder, files):
    """Raise UserError unless `folder` has exactly the files that the card lists.

    Args:
        files: {path relative to `folder`: SHA-256}.
    """
    if "saved_model.pb" not in files:
        raise UserError(
            f"{folder}: its card must list every file with its SHA-256; it does not list saved_model.pb, so nothing "
            "can be verified. Export again."
        )
    there = _files(folder)
    for name in sorted(files.keys() | there.keys()):
        path = there.get(name)
        if path is None:
            state = "is missing"
        elif name not in files:
            state = "is not in the card's list of files"
        elif not stat.S_ISREG(os.lstat(path).st_mode):
            state = "is a link or no file"
        elif sha256(path) != files[name]:
            state = "is not the one that export.save wrote"
        else:
            continue
        raise UserError(f"{folder / name}: {state}; the export is damaged. Use another version, or export again.")


def digests(folder):
    """{path relative to `folder`: SHA-256} of every file in it but the card."""
    return {name: sha256(path) for name, path in sorted(_files(folder).items())}


def sha256(path):
    """SHA-256 of a file, as hexadecimal digits.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


def _files(folder):
    """{relative path: path} of all files and links in `folder` except the card, and of empty folders except FOLDERS."""
    files_below = {}
    for place, folders, files in os.walk(folder):  # does not follow links
        place = Path(place)
        links = [name for name in folders if (place / name).is_symlink()]
        files_below |= {(place / name).relative_to(folder).as_posix(): place / name for name in files + links}
        name = place.relative_to(folder).as_posix()
        if not files and not folders and name not in (".", *FOLDERS):
            files_below[name] = place
    if CARD in files_below and not files_below[CARD].is_symlink():
        del files_below[CARD]
    return files_below


def _signature(card, key):
    signed = {name: value for name, value in card.items() if name != "signature"}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, PURPOSE + text.encode("ascii"), hashlib.sha256).hexdigest()


def _key(path):
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            key = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise NoKey(f"this user's key {path} cannot be read: {error.strerror}") from error
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise NoKey(f"this user's key {path} must be this user's and readable by nobody else (chmod 600)")
    if len(key) != KEY_BYTES:
        raise NoKey(f"this user's key {path} is damaged: it must have {KEY_BYTES} bytes; delete it to get a new one")
    return key


def _make_key(path):
    """Write a random key. If two processes do so at once, the first one's key stays."""
    if not path.is_absolute():
        raise NoKey("this user has no home folder for a key")
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(descriptor)
            _rename_unless_there(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise NoKey(f"this user's key {path} cannot be written: {error.strerror}") from error


def _rename_unless_there(source, place):
    try:
        os.link(source, place)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        os.rename(source, place)
