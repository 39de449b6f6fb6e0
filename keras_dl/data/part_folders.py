"""The folders of a user's that hold the splits of their own: train, validation and test, by their usual names."""

from keras_dl.data.split_names import split_of
from keras_dl.errors import UserError


def find(root):
    """{split: its folder} of a folder that has them: train and another; else {}.

    Args:
        root: Path of the user's folder.

    Raises:
        UserError: two folders are named for one split, such as val and Validation, or the folder cannot be read.

    >>> import pathlib, tempfile
    >>> root = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("Train", "VAL", "other"):
    ...     (root / name).mkdir()
    >>> {split: folder.name for split, folder in find(root).items()}
    {'train': 'Train', 'validation': 'VAL'}
    """
    try:
        inside = list(root.iterdir())
    except OSError as error:
        raise UserError(f"music.load: {root} cannot be read: {error.strerror}.") from error
    found = {}
    for folder in sorted(path for path in inside if split_of(path.name) and path.is_dir()):
        found.setdefault(split_of(folder.name), []).append(folder)
    if "train" not in found or len(found) == 1:
        return {}
    for split, folders in found.items():
        if len(folders) > 1:
            raise UserError(
                f"music.load: {root} must have one folder of the {split} split; "
                f"got {', '.join(folder.name for folder in folders)}. Move them together, or rename one."
            )
    return {split: folders[0] for split, folders in found.items()}
