"""Imports of optional packages, which are installed by extras such as keras_dl[music]."""

import importlib

from keras_dl.errors import UserError


def needs(package, extra, what):
    """Import a package of an extra.

    Args:
        package: its name in an import statement.
        extra: the extra that installs it, such as "music".
        what: what needs it, for the message.

    Returns:
        The module.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        name = package.partition(".")[0]
        raise UserError(f"{what} needs {name}: pip install 'keras_dl[{extra}]'.") from error
