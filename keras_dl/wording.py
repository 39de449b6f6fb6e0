"""Words of sentences: a count with its noun, a share in percent, the nearest of known names."""

import difflib


def counted(number, plural):
    """A number with its noun.

    >>> counted(1, "classes"), counted(1, "test examples"), counted(1200, "pairs")
    ('1 class', '1 test example', '1,200 pairs')
    """
    return f"{number:,} {noun(number, plural)}"


def noun(number, plural):
    """The form of a noun that belongs to a number; of several words the last one before an "of" changes.

    >>> noun(1, "classes"), noun(0, "readable images"), noun(1, "batches"), noun(1, "blocks of 100 tokens")
    ('class', 'readable images', 'batch', 'block of 100 tokens')
    """
    if number == 1:
        things, of, more = plural.partition(" of ")
        for ending, singular in (("sses", "ss"), ("ches", "ch"), ("ies", "y"), ("s", "")):
            if things.endswith(ending):
                return things.removesuffix(ending) + singular + of + more
    return plural


def percent(share, digits=0):
    """A share as a percentage; one that is nearly all, or nearly nothing, does not become all or nothing.

    >>> percent(0.333), percent(0.2, 1), percent(0.996), percent(1.0), percent(0.9999), percent(0.0001)
    ('33%', '20.0%', '99.6%', '100%', '>99.9%', '<0.1%')
    """
    for figures in sorted({digits, 1}):
        half = 0.5 / 10 ** (figures + 2)
        if share in (0, 1) or half <= share < 1 - half:
            return f"{share:.{figures}%}"
    return ">99.9%" if share > 0.5 else "<0.1%"


def verb(number, plural):
    """The form of a verb that belongs to a number of things.

    >>> verb(1, "are"), verb(1, "have"), verb(1, "stand"), verb(2, "are")
    ('is', 'has', 'stands', 'are')
    """
    return plural if number != 1 else {"are": "is", "were": "was", "have": "has"}.get(plural, f"{plural}s")


def nearest(word, known):
    """' Nearest: x.' with the known word most similar to `word`, or '' if none is similar.

    >>> nearest("--epoch", ["--epochs", "--seed"])
    ' Nearest: --epochs.'
    """
    alike = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Nearest: {alike[0]}." if alike else ""
