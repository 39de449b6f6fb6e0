"""Suggests what a user may have meant by an unknown name."""

import difflib


def nearest(name, known):
    """The known name most similar to `name`, as the end of a message; "" if none is similar.

    >>> nearest("fashion_mnits", ("mnist", "fashion_mnist"))
    '; nearest: fashion_mnist'
    """
    alike = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; nearest: {alike[0]}" if alike else ""
