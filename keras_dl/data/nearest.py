"""What somebody may have meant by a name that is not known."""

import difflib


def nearest(name, known):
    """The known name most like `name`, as the end of a message; "" where none is.

    >>> nearest("fashion_mnits", ("mnist", "fashion_mnist"))
    '; nearest: fashion_mnist'
    """
    alike = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; nearest: {alike[0]}" if alike else ""
