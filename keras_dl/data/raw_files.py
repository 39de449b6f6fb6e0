"""The raw files of a set that is not shipped: read from where the user put them, or downloaded; always checked."""

import contextlib
import dataclasses
import gzip
import hashlib
import http.client
import lzma
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

from keras_dl.atomic import write_atomic
from keras_dl.data import prepared
from keras_dl.errors import UserError
from keras_dl.wording import verb

PATIENCE = 30.0  # seconds without data after which a download is given up
UNPACK = {".gz": ("gzip", gzip.decompress), ".xz": ("xz", lzma.decompress)}
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)  # what unpacking raises


@dataclasses.dataclass(frozen=True)
class RawFiles:
    """Where the raw files of a set are published, and their digests.

    Attributes:
        name: name of the set.
        who: name of the function that loads it, for the messages.
        folder: folder below downloads/manual/ of every data folder, where a user may put the files.
        url: URL of the folder in which they are published, with a slash at its end.
        sha256: {file: SHA-256 of its unpacked bytes}.
        packing: ".gz" or ".xz" if the user's files may be compressed (with that ending); "" if not.
        published: the ending of the files at url: packing, or "" if they are not compressed there.
    """

    name: str
    who: str
    folder: str
    url: str
    sha256: dict
    packing: str = ""
    published: str = ""

    def read(self, files, data_dir):
        """{file: its bytes, unpacked, with the right SHA-256}.

        Args:
            files: names of the files that are needed.
            data_dir: the builder's data folder, which is searched first.

        Raises:
            UserError: a file is neither there nor can be downloaded, or has another SHA-256.
        """
        folders = self._folders(data_dir)
        paths = {file: self._find(file, folders) for file in files}
        absent = [file for file, path in paths.items() if path is None]
        host = urllib.parse.urlsplit(self.url).netloc
        if absent and not prepared.answers(host):
            self._refuse_missing(absent, folders, f"{host} does not answer")
        contents = {}
        for file, path in paths.items():
            contents[file] = self._read(file, path) if path else self._download(file, folders)
        return contents

    def holds(self, file, data_dir):
        """Whether the user has put a file of that name, compressed or not, where `read` looks for it."""
        return self._find(file, self._folders(data_dir)) is not None

    def _folders(self, data_dir):
        """Where the user may put the files; the builder's data folder comes first."""
        places = [Path(data_dir), *prepared.folders()]
        return list(dict.fromkeys(place / "downloads" / "manual" / self.folder for place in places))

    def _find(self, file, folders):
        """The first file of that name in the folders, compressed or not; None if there is none."""
        paths = (folder / (file + ending) for folder in folders for ending in dict.fromkeys(("", self.packing)))
        return next((path for path in paths if path.is_file()), None)

    def _read(self, file, path):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(f"{self.who}: {path} cannot be read: {error.strerror}.") from error
        return self._verified(file, data, path, path.name.removeprefix(file))

    def _download(self, file, folders):
        """The bytes of a file at url; it is kept in the first folder if that can be written."""
        url = self.url + file + self.published
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as response:
                data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._refuse_missing([file], folders, error)
        content = self._verified(file, data, url, self.published)
        with contextlib.suppress(OSError):
            write_atomic(folders[0] / (file + self.published), data)
        return content

    def _verified(self, file, data, where, ending):
        """The unpacked bytes of the file from `where`; UserError unless they have the right SHA-256."""
        if ending:
            packer, unpack = UNPACK[ending]
            try:
                data = unpack(data)
            except DAMAGED as error:
                raise UserError(
                    f"{self.who}: {where} must be {file} compressed with {packer}; it is damaged ({error})."
                ) from error
        digest = hashlib.sha256(data).hexdigest()
        if digest != self.sha256[file]:
            raise UserError(
                f"{self.who}: {where} must be {file} of SHA-256 {self.sha256[file]}; got {digest}. "
                f"Take the file of {self.url}."
            )
        return data

    def _refuse_missing(self, files, folders, why):
        names = ", ".join(file + self.published for file in files)
        other = self.packing.removeprefix(self.published)
        also = f" (or {other})" if other else " (or unpacked)" if self.packing else ""
        missing, them = verb(len(files), "are"), "it" if len(files) == 1 else "them"
        raise UserError(
            f"{self.who}: {self.name} is not prepared, {names}{also} {missing} not in {', '.join(map(str, folders))}, "
            f"and could not be downloaded from {self.url} ({why}); put {them} into {folders[0]}."
        )
