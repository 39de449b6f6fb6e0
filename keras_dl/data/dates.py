"""Dates and amounts as a translation task: from a language's ways to write them into ISO form or another language.

    "March 16, 1921; 752,310 hectares"                            -> "1921-03-16; 752310 ha"
    "Wed, Dec 29 – Fri, Dec 31, 1858; Feb 16, 2009, 10:06"        -> "1858-12-29/1858-12-31; 2009-02-16T10:06"

Names, patterns and plurals come from the Unicode CLDR, as Babel ships it: every pair is correct, a source has exactly
one translation, and any number of pairs can be generated. An item is one of

    a date            in the full, long, medium or short format, or another selection of fields
    two dates         the first and the last day of a span within a year    1987-11-03/1987-11-06
    a date and time   to the minute or to the second                        1987-11-03T17:05:09
    an amount         a plain number, or one with percent, a currency or a unit:  12345.5, 12.5 %, 40.00 EUR, 3 km/h

and an example is one item or several, joined by "; ". A target language writes each kind in one way: dates in the
long format, times in the short format (medium with seconds), amounts as sources do. Ambiguous forms are left out of
sources: years of two digits, a pattern that swaps day and month of another, units of the same name.
White space is the CLDR's: U+00A0 and U+202F stand inside some numbers and before some signs, U+2009 around dashes.

Held out: years, and integer parts of amounts from 10 up, whose remainder modulo 11 is 0 (validation) or 5 (test). Every
item of these splits has such a number and no training item has one, so no source is in two splits; all ten digits still
occur at the third and fourth place of a year, and every word in validation and test sources also occurs in training.

Deviation: the CLDR also has rules that spell numbers out ("nineteen eighty-seven"). Babel does not ship them, so
digits stay digits. An item has 3.5 English words on average: 60 words are 12 (seldom) to 20 items.
"""

import bisect
import calendar
import datetime
import decimal
import difflib
import functools
import importlib.metadata
import itertools
import re

import numpy as np

from keras_dl.data.nearest import nearest
from keras_dl.errors import UserError
from keras_dl.extras import needs

PARTS = ("train", "validation", "test")
YEARS = range(1800, 2100)
MODULUS, HELD_OUT = 11, {"validation": 0, "test": 5}
DIGITS = 6  # at most, in the integer part of an amount
JOINT = "; "
# Other locales work too.
LANGUAGES = ("cs", "da", "de", "en", "es", "fi", "fr", "hu", "it", "nl", "pl", "pt", "ro", "sv", "tr")
PAIRS = tuple((a, b) for a in LANGUAGES for b in ("iso", *LANGUAGES) if a != b)
KINDS = {"date": 0.4, "interval": 0.2, "moment": 0.2, "decimal": 0.03, "percent": 0.03, "currency": 0.06, "unit": 0.08}
CURRENCIES = ("EUR", "USD", "GBP", "JPY", "CHF", "SEK", "PLN", "CZK", "HUF", "INR", "CNY", "BRL")
UNITS = {
    "length-kilometer": "km", "length-meter": "m", "length-centimeter": "cm", "length-mile": "mi", "length-foot": "ft",
    "mass-kilogram": "kg", "mass-gram": "g", "mass-tonne": "t", "mass-pound": "lb", "volume-liter": "l",
    "area-square-meter": "m²", "area-hectare": "ha", "duration-second": "s", "duration-minute": "min",
    "duration-hour": "h", "duration-day": "d", "temperature-celsius": "°C", "speed-kilometer-per-hour": "km/h",
    "speed-meter-per-second": "m/s", "power-watt": "W", "energy-kilowatt-hour": "kWh", "digital-byte": "B",
}  # fmt: skip
DATES = ("full", "long", "medium", "short")
DATE_SKELETONS = ("yMMMMEd", "yMMMMd", "yMMMEd", "yMMMd", "yMEd", "yMd")
TIMES, TIME_SKELETONS = ("short", "medium"), ("Hm", "Hms")
PROBES = tuple(map(decimal.Decimal, ("1", "2", "3", "5", "10", "21", "1.5")))  # numbers that cover every plural form
DRAWS = 7  # random numbers that one item uses
ROWS = 4096  # examples generated at once

_DAYS = [datetime.datetime(2001, 1, day) for day in range(1, 32)]  # the first is a Monday
_HOURS = [datetime.datetime(2001, 1, 1, hour) for hour in range(24)]
FIELDS = {  # pattern letter: (datetime -> index of the field's text, a datetime for each of these texts)
    "G": (lambda when: 0, _DAYS[:1]),
    "y": (lambda when: when.year - YEARS[0], [datetime.datetime(year, 1, 1) for year in YEARS]),
    "M": (lambda when: when.month - 1, [datetime.datetime(2001, month, 1) for month in range(1, 13)]),
    "d": (lambda when: when.day - 1, _DAYS),
    "E": (lambda when: when.weekday(), _DAYS[:7]),
    "H": (lambda when: when.hour, _HOURS),
    "m": (lambda when: when.minute, [datetime.datetime(2001, 1, 1, 1, minute) for minute in range(60)]),
    "s": (lambda when: when.second, [datetime.datetime(2001, 1, 1, 1, 1, second) for second in range(60)]),
}
STAND_FOR = {"L": "M", "c": "E"} | dict.fromkeys("hkKa", "H")  # letters that are other forms of the same field
FIELDS |= {letter: FIELDS[same] for letter, same in STAND_FOR.items()}


def generate(count, seed, *, part, source="en", target="iso", chained=(1, 1)):
    """Generate examples of one split. With a smaller `count` the result is a prefix of that with a larger one.

    Args:
        count: number of examples.
        seed: the examples are a function of seed, part, languages and `chained`; np.random's global state is not used.
        part: "train", "validation" or "test".
        source: a CLDR locale ("en", "de", "hu", "pt_BR") that writes Latin digits.
        target: "iso", or another such locale.
        chained: (lowest, highest) number of items in an example, drawn uniformly.

    Returns:
        (sources, targets), a list[str] each.

    Raises:
        UserError: Babel is not installed, `part` or a locale is unknown, or a number is out of range.

    >>> generate(2, 1, part="train", source="es", target="de")
    (['9,8 gramos', '16 jul 2026'], ['9,8 Gramm', '16. Juli 2026'])
    """
    if part not in PARTS:
        near = nearest(str(part), PARTS)
        raise UserError(f"dates.generate: part must be one of {', '.join(PARTS)}; got {part!r}{near}.")
    low, high = chained
    if not 1 <= low <= high:
        raise UserError(f"dates.generate: chained must be (low, high) with 1 <= low <= high; got {low} and {high}.")
    if count < 0 or seed < 0:
        raise UserError(f"dates.generate: count and seed must be at least 0; got {count} and {seed}.")
    reader = _language(_known(source))
    writer = _Iso() if target == "iso" else _language(_known(target, ", or iso"))
    years = [year for year in YEARS if _part_of(year) == part]
    rng = np.random.default_rng((seed, PARTS.index(part)))
    sources, targets = [], []
    for start in range(0, count, ROWS):  # one random stream, row after row: a prefix does not depend on `count`
        for first, *draws in rng.random((min(ROWS, count - start), 1 + high * DRAWS)).tolist():
            size = low + int(first * (high - low + 1))
            items = [_item(reader, part, years, draws[i * DRAWS : (i + 1) * DRAWS]) for i in range(size)]
            sources.append(JOINT.join(text for text, _, _ in items))
            targets.append(JOINT.join(writer.write(kind, value) for _, kind, value in items))
    return sources, targets


def _part_of(number):
    """The split to which a year, or the integer part of an amount, belongs."""
    held = [part for part, remainder in HELD_OUT.items() if number >= 10 and number % MODULUS == remainder]
    return held[0] if held else "train"


def _known(name, also=""):
    """The name of a locale as the CLDR spells it; UserError if it is unknown or has no Latin digits."""
    core = _babel().core
    locale, known = core.localedata.normalize_locale(str(name).replace("-", "_")), ", ".join(LANGUAGES)
    if locale is None:
        english = {v.lower(): k for k, v in core.Locale("en").languages.items() if core.localedata.exists(k)}
        by_name = difflib.get_close_matches(str(name).lower(), english, n=1, cutoff=0.7)
        near = f"; nearest: {english[by_name[0]]}" if by_name else nearest(str(name), LANGUAGES)
        raise UserError(f'dates.generate: no CLDR locale "{name}"{near}. Languages: {known} and more{also}.')
    digits = core.Locale.parse(locale).default_numbering_system
    if digits != "latn":
        raise UserError(
            f'dates.generate: a language must write Latin digits (CLDR\'s "latn"); "{name}" writes "{digits}". '
            f"Languages: {known} and more{also}."
        )
    return locale


def _babel():
    for module in ("core", "dates", "numbers", "units"):
        needs(f"babel.{module}", "translation", "dates.generate:")
    return importlib.import_module("babel")


def __getattr__(name):
    if name == "SOURCE":
        _babel()
        return f"Unicode CLDR as of Babel {importlib.metadata.version('babel')}"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# Items: a kind, a value, and the value's text in the source.


def _item(reader, part, years, draws):
    """(text, kind, value) of a random item, from DRAWS random numbers in [0, 1)."""
    kind = reader.kinds[bisect.bisect(reader.shares, draws[0] * reader.shares[-1])]
    if kind in ("date", "interval", "moment"):
        text, value = _day(reader, kind, years[int(draws[1] * len(years))], draws)
        return text, kind, value
    value = _amount(reader, kind, part, draws)
    return reader.write(kind, value), kind, value


def _day(reader, kind, year, draws):
    """(text, value); the value is a datetime, a span (first, last), or (datetime, whether seconds are shown)."""
    first, days = datetime.datetime(year, 1, 1), 365 + calendar.isleap(year)
    if kind == "interval":  # two days to five weeks, within the year
        day = int(draws[2] * (days - 1))
        value = tuple(first + datetime.timedelta(d) for d in (day, min(day + 1 + int(draws[4] * 35), days - 1)))
        return _pick(reader.intervals, draws[3])(value), value
    day = first + datetime.timedelta(int(draws[2] * days))
    date = _pick(reader.dates, draws[3])
    if kind == "date":
        return date(day), day
    time = _pick(reader.times, draws[5])
    when = day + datetime.timedelta(seconds=int(draws[4] * 86400))
    return reader.glued(date(when), time(when)), (when, "s" in time.fields)


def _amount(reader, kind, part, draws):
    """A random amount: (Decimal, name of the currency or unit)."""
    least = 1 if part == "train" else 2
    length = least + int(draws[1] * (DIGITS + 1 - least))
    whole = int(10 ** (length - 1) * (1 + 9 * draws[2]))
    if part == "train":
        whole -= _part_of(whole) != part  # two neighbours are never both held out
    else:
        whole -= (whole - HELD_OUT[part]) % MODULUS
        whole += MODULUS * (whole < 10)
    name = _pick(reader.names[kind], draws[3])
    if kind == "currency":  # as many decimals as the currency has
        places = reader.places[name]
        return decimal.Decimal(whole) + decimal.Decimal(int(draws[5] * 10**places)).scaleb(-places), name
    decimals = ("", f".{1 + int(draws[5] * 9)}", f".{int(draws[6] * 10)}{1 + int(draws[5] * 9)}")  # no zero at the end
    return decimal.Decimal(f"{whole}{_pick(decimals, draws[4])}"), name


def _pick(choices, draw):
    return choices[int(draw * len(choices))]


# Writers: (kind, value) -> text.


class _Iso:
    """ISO 8601 for days and times, ISO 4217 for currencies, UNITS for the rest."""

    def write(self, kind, value):
        if kind == "date":
            return value.date().isoformat()
        if kind == "interval":
            return "/".join(day.date().isoformat() for day in value)
        if kind == "moment":
            return value[0].isoformat(timespec="seconds" if value[1] else "minutes")
        number, name = value
        return f"{number} {UNITS.get(name, name)}".rstrip()


class _Language:
    """The forms in which a language writes items: many for a source to pick from, one for a target.

    Attributes:
        dates, times: forms, that is functions from a datetime to its text. No text has two meanings.
        intervals: functions from (first, last) to text, likewise.
        names: {kind: names of its units or currencies}, without those that are written like another.
        places: {currency: its number of decimals}.
        kinds, shares: the kinds of items, and the cumulative sums of their weights.
    """

    def __init__(self, code):
        self.babel = _babel()
        self.locale = locale = self.babel.core.Locale.parse(code)
        taken, skeletons = {}, locale.datetime_skeletons
        days = [datetime.datetime(2000, 1, 1) + datetime.timedelta(day) for day in range(366)]
        spans = [(day, day + datetime.timedelta(more)) for day in days[:326] for more in (1, 3, 40)]
        dates = [*(locale.date_formats[width] for width in DATES), *map(skeletons.get, DATE_SKELETONS)]
        times = [*(locale.time_formats[width] for width in TIMES), *map(skeletons.get, TIME_SKELETONS)]
        self.long = _form(locale.date_formats["long"], locale)
        self.dates = _exact([_form(pattern, locale) for pattern in dates], "yMd", days, taken)
        self.intervals = _exact([_interval(name, locale) for name in DATE_SKELETONS], "yMd", spans, taken)
        self.times = _exact([_form(pattern, locale) for pattern in times], "Hm", _HOURS, {})
        self.names = {"decimal": ("",), "percent": ("%",)} | self._named()
        self.places = {name: self.babel.numbers.get_currency_precision(name) for name in CURRENCIES}
        have = {"date": self.dates, "interval": self.intervals, "moment": self.times} | self.names
        self.kinds = [kind for kind in KINDS if have[kind]]
        self.shares = list(itertools.accumulate(KINDS[kind] for kind in self.kinds))

    def write(self, kind, value):
        """The text of a target: dates long, times in the first form with (or without) seconds, names written out."""
        if kind == "date":
            return self.long(value)
        if kind == "interval":
            return _filled(self.locale.interval_formats[None], *map(self.long, value))
        if kind == "moment":
            when, seconds = value
            return self.glued(self.long(when), next(t for t in self.times if ("s" in t.fields) == seconds)(when))
        numbers, (number, name) = self.babel.numbers, value
        if kind == "decimal":
            return numbers.format_decimal(number, locale=self.locale)
        if kind == "percent":
            return numbers.format_percent(number / 100, locale=self.locale, decimal_quantization=False)
        if kind == "currency":
            return numbers.format_currency(number, name, locale=self.locale, format_type="name")
        return self.babel.units.format_unit(number, name, locale=self.locale)

    def glued(self, date, time):
        return _filled(str(self.locale.datetime_formats["medium"]).replace("'", ""), time, date)

    def _has(self, unit):
        """Whether the language has a name for a unit."""
        try:
            self.babel.units.get_unit_name(unit, locale=self.locale)
        except self.babel.units.UnknownUnitError:
            return False
        return True

    def _named(self):
        """{"currency": names, "unit": names} without those that are written like another."""
        names = {"currency": [], "unit": []}
        taken = {self.write(kind, (number, "%")) for kind in ("decimal", "percent") for number in PROBES}
        units = [name for name in UNITS if self._has(name)]
        for kind, name in [("unit", name) for name in units] + [("currency", name) for name in CURRENCIES]:
            texts = {self.write(kind, (number, name)) for number in PROBES}
            if taken.isdisjoint(texts):
                names[kind].append(name)
                taken |= texts
        return names


@functools.lru_cache(maxsize=16)
def _language(code):
    return _Language(code)


def _form(pattern, locale):
    """The function from a datetime to Babel's text of it, or None if the pattern has a field that is not in FIELDS.

    Babel needs about 10 us for a text; a table of each field's texts reduces this to 1 us.
    """
    if pattern is None:
        return None
    names = re.findall(r"%\((\w+)\)s", pattern.format)
    if "yy" in names or any(name[0] not in FIELDS for name in names):
        return None
    make = _babel().dates.DateTimeFormat
    tables = [(FIELDS[name[0]][0], [make(when, locale)[name] for when in FIELDS[name[0]][1]]) for name in names]
    template = re.sub(r"%\(\w+\)s", "%s", pattern.format)

    def form(when):
        return template % tuple([texts[of(when)] for of, texts in tables])

    form.fields = {STAND_FOR.get(name[0], name[0]) for name in names}
    return form


def _interval(skeleton, locale):
    """The function from (first, last), two days of one year, to their text; None if the locale has no such pattern."""
    patterns = locale.interval_formats.get(skeleton, {})
    parse = _babel().dates.parse_pattern
    forms = {field: [_form(parse(half), locale) for half in patterns.get(field, ())] for field in "Md"}
    if any(len(halves) != 2 or None in halves for halves in forms.values()):
        return None

    def form(value):
        halves = forms["d" if value[0].month == value[1].month else "M"]
        return halves[0](value[0]) + halves[1](value[1])

    form.fields = set.intersection(*(halves[0].fields | halves[1].fields for halves in forms.values()))
    return form


def _exact(forms, needs, values, taken):
    """The forms that have all needed fields and give different values different texts.

    taken: {text: its value} of the forms that were accepted before; it is extended.
    """
    kept = []
    for form in forms:
        if form is None or not form.fields.issuperset(needs):
            continue
        texts = {form(value): value for value in values}
        clean = len(texts) == len(values) and not any(";" in text for text in texts)
        if clean and all(taken.get(text, value) == value for text, value in texts.items()):
            kept += [] if texts.keys() <= taken.keys() else [form]  # a form that adds no new text is left out
            taken |= texts
    return kept


def _filled(pattern, first, second):
    return pattern.replace("{0}", first).replace("{1}", second)
