"""Numbers in sentences: a count with its noun, a share in percent."""


def counted(number, plural):
    """A number with its noun.

    >>> counted(1, "classes"), counted(1, "test examples"), counted(1200, "pairs")
    ('1 class', '1 test example', '1,200 pairs')
    """
    return f"{number:,} {noun(number, plural)}"


def noun(number, plural):
    """The form of a noun that belongs to a number; of several words the last one changes.

    >>> noun(1, "classes"), noun(0, "readable images"), noun(1, "batches"), noun(1, "entries")
    ('class', 'readable images', 'batch', 'entry')
    """
    if number == 1:
        for ending, singular in (("sses", "ss"), ("ches", "ch"), ("ies", "y"), ("s", "")):
            if plural.endswith(ending):
                return plural.removesuffix(ending) + singular
    return plural


def percent(share):
    """A share as a whole percentage; one that is nearly all, or nearly nothing, does not become all or nothing.

    >>> percent(0.333), percent(0.996), percent(1.0), percent(0.9999), percent(0.004), percent(0.0001)
    ('33%', '99.6%', '100%', '>99.9%', '0.4%', '<0.1%')
    """
    if share in (0, 1) or 0.005 <= share < 0.995:
        return f"{share:.0%}"
    if 0.0005 <= share < 0.9995:
        return f"{share:.1%}"
    return ">99.9%" if share > 0.5 else "<0.1%"


def verb(number, plural):
    """The form of a verb that belongs to a number of things.

    >>> verb(1, "are"), verb(1, "have"), verb(1, "stand"), verb(2, "are")
    ('is', 'has', 'stands', 'are')
    """
    return plural if number != 1 else {"are": "is", "were": "was", "have": "has"}.get(plural, f"{plural}s")
