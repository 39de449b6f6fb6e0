"""Messages about tokens that a vocabulary does not have."""

from keras_dl.wording import counted, verb

NAMED = 5  # tokens that a sentence lists


def sentence(place, counts, unit, read_as):
    """A sentence that says how many tokens of a text are unknown, and which; "" if none are.

    Args:
        place: where the text comes from.
        counts: {unknown token: number of occurrences}.
        unit: "character" or "word".
        read_as: the token that the model reads instead.

    >>> sentence("test", {"é": 2, "ß": 1}, "character", "U+FFFD")
    "test: 3 characters (2 different) are not in the vocabulary and are read as U+FFFD: 'é' (2 times), 'ß'"
    """
    if not counts:
        return ""
    most = sorted(counts, key=lambda token: (-counts[token], token))
    named = [
        _shown(token) + (f" ({counted(counts[token], 'times')})" if counts[token] > 1 else "") for token in most[:NAMED]
    ]
    more = f" and {len(most) - NAMED:,} more" if len(most) > NAMED else ""
    total = sum(counts.values())
    how_many = counted(total, f"{unit}s") + (f" ({len(most):,} different)" if total > 1 else "")
    are = verb(total, "are")
    return f"{place}: {how_many} {are} not in the vocabulary and {are} read as {read_as}: {', '.join(named)}{more}"


def _shown(token):
    """The token in quotes; white space and unprintable characters as escape sequences."""
    return f"'{token}'" if token.isprintable() and not token.isspace() else ascii(token)
