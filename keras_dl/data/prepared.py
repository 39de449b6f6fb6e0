"""Data sets that TensorFlow Datasets prepares once and keeps: where they are, and how they are prepared."""

import os
import socket
import urllib.parse
from pathlib import Path

from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow

PATIENCE = 3.0  # seconds to wait for a host to answer


def folders():
    """The folders in which prepared sets are looked for; a new set goes to the first that can be written."""
    default = Path(os.path.expanduser("~/tensorflow_datasets"))  # without a home folder it stays "~"
    asked = os.environ.get("TFDS_DATA_DIR")
    return [Path(asked), default] if asked else [default]


def builder(name, who, make=None):
    """The TFDS builder of a set, prepared if it is not yet: from shipped files, the user's files or a download.

    Args:
        name: name of the set.
        who: name of the calling function, for the messages.
        make: function of data_dir that returns the project's own builder of the set; None: TFDS' builder of that name.

    Raises:
        UserError: the set is not prepared and its raw data cannot be downloaded, or no folder can be written.
    """
    with quiet_tensorflow():
        import tensorflow  # noqa: F401 - here, so that its messages are silenced: TFDS imports it too
    import tensorflow_datasets as tfds

    make = make or tfds.builder_cls(name)
    for place in folders():
        if (place / name).is_dir():
            builder_there = make(data_dir=place)
            if builder_there.data_path.exists():
                return builder_there
    new = make(data_dir=_writable(who))
    hosts = {urllib.parse.urlsplit(url).netloc for url in new.url_infos or {}}
    silent = sorted(host for host in hosts if not answers(host))
    if silent:
        looked = ", ".join(str(place / name) for place in folders())
        raise UserError(
            f"{who}: {name} is not prepared (looked in {looked}) and {silent[0]} does not answer; where there is "
            f"a network, `python -m tensorflow_datasets.scripts.cli.main build {name}` prepares it, then copy the "
            f"folder here or point TFDS_DATA_DIR at it."
        )
    tfds.display_progress_bar(False)
    new.download_and_prepare()
    return new


def answers(host):
    """Whether a host, or host:port, accepts a connection."""
    name, _, port = host.partition(":")
    try:
        socket.create_connection((name, int(port or 443)), PATIENCE).close()
    except OSError:
        return False
    return True


def _writable(who):
    """The first folder that can be written, since a home folder may be read-only."""
    for place in folders():
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place
    raise UserError(f"{who}: none of {', '.join(map(str, folders()))} can be written; set TFDS_DATA_DIR.")
