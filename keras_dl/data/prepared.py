"""Sets that TensorFlow Datasets prepares once and keeps: where they stand, and how they are prepared."""

import os
import socket
import urllib.parse
from pathlib import Path

from keras_dl.errors import UserError
from keras_dl.imports import quiet_tensorflow

PATIENCE = 3.0  # seconds for a host to answer before a set counts as not to be had


def folders():
    """Where prepared sets are looked for, first the one that a new set is written to."""
    default = Path(os.path.expanduser("~/tensorflow_datasets"))  # where there is no home, a folder named ~
    asked = os.environ.get("TFDS_DATA_DIR")
    return [Path(asked), default] if asked else [default]


def builder(name, who, make=None):
    """The TFDS builder of a set whose data are on disk: found, made from what is shipped or given, or downloaded.

    Args:
        name: of the set.
        who: asks for it, for the messages.
        make: function of data_dir that makes the builder of a set of the project's own; None: of TFDS' by that name.

    Raises:
        UserError: the set is not prepared, and what it is made of is not to be had, or no folder can be written.
    """
    with quiet_tensorflow():
        import tensorflow  # noqa: F401 - TFDS would import it with its messages
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
    """Does a host, or host:port, take a connection?"""
    name, _, port = host.partition(":")
    try:
        socket.create_connection((name, int(port or 443)), PATIENCE).close()
    except OSError:
        return False
    return True


def _writable(who):
    """The first folder that can be written; the runs of a read-only home still get the embedded set."""
    for place in folders():
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place
    raise UserError(f"{who}: none of {', '.join(map(str, folders()))} can be written; set TFDS_DATA_DIR.")
