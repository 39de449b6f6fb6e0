"""Converters print a lot."""

import contextlib
import io
import warnings


@contextlib.contextmanager
def quiet():
    """A context in which Python code prints and warns of nothing."""
    noise = io.StringIO()
    with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
