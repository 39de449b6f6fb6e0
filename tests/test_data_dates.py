"""Laws of the dates task: by other means than its own, a target is what its source says; its parts are apart."""

import calendar
import datetime
import importlib.util
import re
import sys
import time

import numpy as np
import pytest

from keras_dl.data import dates
from keras_dl.errors import UserError

babel_dates = pytest.importorskip("babel.dates")
from babel import Locale, numbers, units  # noqa: E402

LOCALES = ("en", "de", "fr", "es", "hu", "pl")
ENGLISH_DATES = ("%A, %B %d, %Y", "%B %d, %Y", "%a, %b %d, %Y", "%b %d, %Y", "%a, %m/%d/%Y", "%m/%d/%Y")
ENGLISH_TIMES = {"%I:%M %p": "minutes", "%H:%M": "minutes", "%I:%M:%S %p": "seconds", "%H:%M:%S": "seconds"}
ENGLISH_AMOUNTS = {
    "kilometers": "km", "meters": "m", "centimeters": "cm", "miles": "mi", "feet": "ft", "kilograms": "kg",
    "grams": "g", "metric tons": "t", "pounds": "lb", "liters": "l", "square meters": "m²", "hectares": "ha",
    "seconds": "s", "minutes": "min", "hours": "h", "days": "d", "degrees Celsius": "°C", "watts": "W",
    "kilometers per hour": "km/h", "meters per second": "m/s", "kilowatt-hours": "kWh", "bytes": "B",
    "euros": "EUR", "US dollars": "USD", "British pounds": "GBP", "Japanese yen": "JPY", "Swiss francs": "CHF",
    "Swedish kronor": "SEK", "Polish zlotys": "PLN", "Czech korunas": "CZK", "Hungarian forints": "HUF",
    "Indian rupees": "INR", "Chinese yuan": "CNY", "Brazilian reals": "BRL", "": "",
}  # fmt: skip
ISO_DAY = r"\d{4}-\d\d-\d\d"


def generate(count=400, seed=0, part="train", **options):
    return dates.generate(count, seed, part=part, **options)


def moments(count, seed=3):
    """Datetimes of all years, hours, months."""
    seconds = np.random.default_rng(seed).integers(0, 300 * 365 * 86400, count)
    return [datetime.datetime(1800, 1, 1) + datetime.timedelta(seconds=int(s)) for s in seconds]


def parsed(text, formats):
    """What Python makes of it, if its weekday is that of the day."""
    for format in formats:
        try:
            found = datetime.datetime.strptime(text, format)
        except ValueError:
            continue
        weekday = re.match("(%[aA]), ", format)
        assert not weekday or text.startswith(found.strftime(weekday[0])), text
        return found
    raise AssertionError(f"not English: {text!r}")


def from_english(text):
    """ISO form of an English item, by strptime and a table of words."""
    text = text.replace("\u202f", " ")
    if "–" in text:
        first, last = text.split("\u2009–\u2009")
        last = parsed(last if re.search("[A-Z/]", last) else f"{first.rsplit(' ', 1)[0]} {last}", ENGLISH_DATES)
        return f"{parsed(first if '/' in first else f'{first}, {last.year}', ENGLISH_DATES):%Y-%m-%d}/{last:%Y-%m-%d}"
    if ":" in text:
        date, clock = text.rsplit(", ", 1)
        format = next(f for f in ENGLISH_TIMES if ("%S" in f, "%p" in f) == (clock.count(":") == 2, clock[-1] == "M"))
        when = datetime.datetime.strptime(clock, format).time()
        return datetime.datetime.combine(parsed(date, ENGLISH_DATES), when).isoformat(timespec=ENGLISH_TIMES[format])
    if re.search(r"[A-Z/].*\d{4}$|/\d{4}$", text):
        return f"{parsed(text, ENGLISH_DATES):%Y-%m-%d}"
    number, percent, name = re.fullmatch(r"([\d,.]+)(%?) ?(.*)", text).groups()
    if float(number.replace(",", "")) == 1:  # its name is singular
        name = {"foot": "feet", "US dollar": "US dollars"}.get(name, re.sub(r"^(\w+)", r"\1s", name))
    return f"{number.replace(',', '')} {'%' if percent else ENGLISH_AMOUNTS[name]}".rstrip()


def iso_items(targets):
    return [item for target in targets for item in target.split("; ")]


def numbers_of(item):
    """The years, or the whole part of the amount, of an ISO item."""
    years = [int(day[:4]) for day in re.findall(ISO_DAY, item)]
    return years or [int(re.match(r"\d+", item)[0])]


# What a target says.


@pytest.mark.parametrize("part", dates.PARTS)
def test_an_english_source_says_what_its_target_says(part):
    sources, targets = generate(6000, part=part)
    assert [from_english(source) for source in sources] == targets
    forms = {
        ISO_DAY: 0.4, f"{ISO_DAY}/{ISO_DAY}": 0.2, ISO_DAY + r"T\d\d:\d\d(:\d\d)?": 0.2, r"\d+(\.\d+)?": 0.03,
        r"\d+(\.\d+)? %": 0.03, r"\d+(\.\d\d)? [A-Z]{3}": 0.06, r"\d+(\.\d+)? (?![A-Z]{3}|%).*": 0.08,
    }  # fmt: skip
    for form, share in forms.items():
        assert np.mean([bool(re.fullmatch(form, target)) for target in targets]) == pytest.approx(share, abs=0.02), form
    decimals = {found[1] for target in targets if (found := re.search(r"\d\.(\d\d)( (?![A-Z]{3})|$)", target))}
    assert len(decimals) > 70 and not any(two.endswith("0") for two in decimals)  # of 90
    names = {target.split(" ")[1] for target in targets if " " in target}
    assert names == {*dates.UNITS.values(), *dates.CURRENCIES, "%"}


def test_days_and_clocks_are_drawn_from_all_of_their_year():
    items = [item for item in generate(20_000)[1] if re.match(ISO_DAY, item)]
    days = [re.findall(ISO_DAY, item) for item in items]
    singles, spans = [d[0] for d in days if len(d) == 1], [d for d in days if len(d) == 2]
    assert len({day[5:] for day in singles}) == 366
    assert "12-31" in {day[5:] for day in singles if calendar.isleap(int(day[:4]))}
    starts = {first[5:] for first, _ in spans}
    assert {"01-01", "02-29", "12-30"} <= starts and "12-31" not in starts
    lengths = [int(np.diff(np.array(span, "datetime64[D]"))[0].astype(int)) for span in spans]
    assert min(lengths) == 1 and max(lengths) == 35 and all(a[:4] == b[:4] for a, b in spans)
    clocks = {item[11:13] for item in items if "T" in item}
    assert clocks == {f"{hour:02d}" for hour in range(24)}
    assert {int(day[:4]) for day in singles} == {y for y in dates.YEARS if y % 11 not in (0, 5)}


@pytest.mark.parametrize("source", ["de", "fr", "hu"])
def test_a_language_as_target_is_babels_text_of_the_iso_form(source):
    options = {"source": source, "chained": (1, 3), "seed": 5}
    sources, isos = generate(**options)
    for target in ("en", "pl", "zh_Hant"):  # the last's short format of times has a field that is left out
        again, targets = generate(target=target, **options)
        assert again == sources
        for item, iso in zip("; ".join(targets).split("; "), iso_items(isos), strict=True):
            assert item == from_iso(iso, target)


def from_iso(item, locale):
    """Babel's text of an ISO item."""
    days = [datetime.date.fromisoformat(day) for day in re.findall(ISO_DAY, item)]
    texts = [babel_dates.format_date(day, "long", locale) for day in days]
    if len(texts) == 2:
        return Locale.parse(locale).interval_formats[None].format(*texts)
    if "T" in item:
        when = datetime.datetime.fromisoformat(item)
        width = "medium" if item.count(":") == 2 else "short"
        clock = babel_dates.format_time(when, width, locale=locale) if locale != "zh_Hant" else item[11:]
        return babel_dates.get_datetime_format("medium", locale).format(clock, texts[0])
    if texts:
        return texts[0]
    number, _, name = item.partition(" ")
    value = numbers.decimal.Decimal(number)
    if name == "%":
        return numbers.format_percent(value / 100, locale=locale, decimal_quantization=False)
    if name in dates.CURRENCIES:
        return numbers.format_currency(value, name, locale=locale, format_type="name")
    if name:
        (unit,) = (unit for unit, symbol in dates.UNITS.items() if symbol == name)
        return units.format_unit(value, unit, "long", locale=locale)
    return numbers.format_decimal(value, locale=locale)


# What a source may be.


@pytest.mark.parametrize("code", [*LOCALES, "co", "eu", "lt", "th", "zh"])
def test_forms_are_babels_formats(code):
    language, locale = dates._language(code), Locale.parse(code)
    widths, skeletons = ("full", "long", "medium", "short"), ("yMMMMEd", "yMMMMd", "yMMMEd", "yMMMd", "yMEd", "yMd")
    for when in moments(100):
        end = when + datetime.timedelta(1 + when.second)
        end = min(end, datetime.datetime(when.year, 12, 31))
        expected = {babel_dates.format_date(when, width, locale) for width in widths}
        expected |= {
            babel_dates.format_skeleton(name, when, locale=locale)
            for name in skeletons
            if name in locale.datetime_skeletons
        }
        if locale.language in LOCALES:  # all but years of two digits
            expected = {text for text in expected if str(when.year) in text}
            assert {form(when) for form in language.dates} == expected
        assert {form(when) for form in language.dates} <= expected
        assert len(language.dates) >= 4 and language.long(when) == babel_dates.format_date(when, "long", locale)
        if end.date() > when.date():
            expected = {
                babel_dates.format_interval(when, end, name, locale=locale, fuzzy=False)
                for name in skeletons
                if name in locale.interval_formats
            }
            assert {form((when, end)) for form in language.intervals} == expected
        clocks = [babel_dates.format_time(when, width, locale=locale) for width in ("short", "medium")]
        assert {form(when) for form in language.times} >= set(clocks)
        both = language.glued(babel_dates.format_date(when, "medium", locale), clocks[1])
        assert both == babel_dates.format_datetime(when, "medium", locale=locale)


@pytest.mark.parametrize("source", [*LOCALES, "cs", "fi", "lt", "tr", "pt-BR"])
def test_a_source_has_one_reading(source):
    sources, targets = generate(8000, source=source)
    of = dict(zip(sources, targets, strict=True))
    assert [of[text] for text in sources] == targets
    assert not any(";" in text for text in sources)
    for text, target in of.items():  # years have four digits
        if re.match(ISO_DAY, target):
            assert target[:4] in text and (target.count("/") == 0 or re.search(r"\d\D+\d", text))


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (("d/M/y", "M/d/y"), 1),  # 3/4/2000
        (("E, d/M/y", "M/d/y", "E, M/d/y"), 2),
        (("M/d/y", "y-MM-dd", "d MMM y"), 3),
        (("MMMMM d, y", "d/M/yy", "MMM y", "d; M; y"), 0),  # J for January, June and July; two digits; no day
        (("y-MM-dd", "y-MM-dd"), 1),
        (("MMM d", "E, d. M."), 0),  # no year
    ],
)
def test_what_has_two_readings_is_left_out(patterns, kept):
    forms = [dates._form(babel_dates.parse_pattern(pattern), Locale("en")) for pattern in patterns]
    days = [datetime.datetime(2000, 1, 1) + datetime.timedelta(day) for day in range(366)]
    assert len(dates._exact(forms, "yMd", days, {})) == kept


def test_clocks_of_twelve_hours_need_their_halves_of_the_day():
    forms = [dates._form(babel_dates.parse_pattern(pattern), Locale("en")) for pattern in ("h:mm", "h:mm a", "K:mm a")]
    assert dates._exact(forms, "Hm", dates._HOURS, {}) == forms[1:]


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        ({"d": ["MMM d–", "d, y"], "M": ["MMM d – ", "MMM d, y"]}, True),
        ({"d": ["MMM d–", "d, y"], "M": ["MMM d – ", "MMM d, yy"]}, False),
        ({"d": ["MMM d–", "d"], "M": ["MMM d – ", "MMM d, y"]}, False),
        ({"M": ["MMM d – ", "MMM d, y"]}, False),
    ],
)
def test_two_dates_show_their_year_in_any_case(monkeypatch, patterns, kept):
    monkeypatch.setitem(Locale("en").interval_formats, "yMMMd", patterns)
    form = dates._interval("yMMMd", Locale("en"))
    assert (form is not None and form.fields >= set("yMd")) == kept


def test_what_babel_lacks_is_left_out(monkeypatch):
    monkeypatch.setattr(dates, "UNITS", {"length-horse": "horse"})
    language = dates._Language("en")
    assert language.names["unit"] == [] and language.kinds == [kind for kind in dates.KINDS if kind != "unit"]
    year, draws = [2001], [1 - 1e-9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert dates._item(language, "train", year, draws)[1] == language.kinds[-1]  # the others take its share


def test_units_of_one_name_are_left_out(monkeypatch):
    monkeypatch.setattr(dates, "UNITS", dates.UNITS | {"length-point": "pt", "graphics-dot": "dot"})
    monkeypatch.setattr(dates, "CURRENCIES", ("EUR", "USD", "USN"))
    same = dates._Language("en").locale._data["unit_patterns"]
    monkeypatch.setitem(same["length-point"], "long", same["length-mile"]["long"])
    names = dates._Language("en").names
    assert "length-mile" in names["unit"] and "graphics-dot" in names["unit"] and "length-point" not in names["unit"]
    assert names["currency"] == ["EUR", "USD", "USN"]


# Parts, seeds, lengths.


def test_years_and_whole_numbers_are_of_one_part():
    for part, remainders in {"train": {1, 2, 3, 4, 6, 7, 8, 9, 10}, "validation": {0}, "test": {5}}.items():
        sources, targets = generate(10_000, part=part, chained=(1, 4))
        found = {n for item in iso_items(targets) for n in numbers_of(item) if n >= 10}
        assert {n % 11 for n in found} == remainders
        amounts = [item for item in iso_items(targets) if not re.match(ISO_DAY, item)]
        lengths = {len(re.match(r"\d+", item)[0]) for item in amounts}
        assert lengths == set(range(1 if part == "train" else 2, 7))
        assert len({n for n in found if 1800 <= n < 2100}) > (240 if part == "train" else 26)
        small = {n for item in iso_items(targets) for n in numbers_of(item) if n < 10}
        assert small == (set(range(1, 10)) if part == "train" else set())


@pytest.mark.parametrize("part", dates.PARTS)
def test_amounts_have_one_to_six_digits_before_the_point(part):
    for length in np.arange(0.5, 6) / 6:
        for draw in (0.0, 1 / 9 + 1e-9, 0.5, 1 - 1e-9):
            number, _ = dates._amount(dates._language("en"), "decimal", part, [0, length, draw, 0, 0, 0, 0])
            assert 1 <= number < 10**6 and dates._part_of(int(number)) == part


@pytest.mark.parametrize("source", LOCALES)
def test_held_out_sources_are_new_and_their_words_are_not(source):
    train = generate(20_000, source=source)[0]
    known = {word for text in train for word in re.findall(r"[^\W\d]+", text)}
    letters = set("".join(train))
    for part in ("validation", "test"):
        texts = generate(4000, part=part, source=source)[0]
        assert set(texts).isdisjoint(train)
        assert {word for text in texts for word in re.findall(r"[^\W\d]+", text)} <= known
        assert set("".join(texts)) <= letters
    last = [{item[3] for item in iso_items(generate(4000, part=p)[1]) if re.match(ISO_DAY, item)} for p in dates.PARTS]
    assert all(digits == set("0123456789") for digits in last)


def test_the_first_of_many_are_those_of_few_and_a_seed_is_all_that_counts():
    state = np.random.get_state()[1].copy()
    many = generate(dates.ROWS + 60, 4, chained=(1, 3))
    few = generate(50, 4, chained=(1, 3))
    assert [texts[:50] for texts in many] == list(few)
    assert generate(dates.ROWS + 60, 4, chained=(1, 3)) == many
    assert generate(0) == ([], [])
    others = [generate(50, 5, chained=(1, 3)), generate(50, 4, part="test", chained=(1, 3))]
    for other in others:  # not the same days in other years either
        assert np.mean([a[-6:] == b[-6:] for a, b in zip(other[1], few[1], strict=True)]) < 0.1
    assert len(set(many[0])) > 0.99 * len(many[0]) and (np.random.get_state()[1] == state).all()


def test_chains_are_as_long_as_asked_and_reach_sixty_words():
    sources, targets = generate(4000, part="test", chained=(1, 16))
    items = [source.count("; ") + 1 for source in sources]
    assert [target.count("; ") + 1 for target in targets] == items
    np.testing.assert_allclose(np.bincount(items, minlength=17)[1:] / len(items), 1 / 16, atol=0.015)
    words = [len(source.split()) for source in sources]
    assert min(words) <= 2 and max(words) >= 70 and sum(n >= 60 for n in words) > 80
    assert 3.3 < sum(words) / sum(items) < 3.7  # as the docstring says
    for source, target in zip(sources[:300], targets, strict=False):
        assert [from_english(item) for item in source.split("; ")] == target.split("; ")
    fives = [source.split("; ") for source in generate(50, chained=(5, 5))[0]]
    assert {len(five) for five in fives} == {5} and sum(len(set(five)) for five in fives) >= 248


def test_thousands_take_no_time():
    start = time.process_time()
    generate(5000, target="de", chained=(1, 12))
    assert time.process_time() - start < 5.0  # 0.35 s on two idle cores, room for busy ones


# Languages, mistakes.


@pytest.mark.parametrize("name", dates.LANGUAGES)
def test_languages_of_the_list_have_all_kinds_of_items(name):
    language = dates._language(name)
    assert language.kinds == list(dates.KINDS) and len(language.dates) >= 4 and len(language.times) >= 2
    assert len(language.names["unit"]) + len(language.names["currency"]) >= 32


def test_pairs_and_the_source():
    assert ("en", "iso") in dates.PAIRS and ("en", "de") in dates.PAIRS and ("de", "de") not in dates.PAIRS
    assert len(set(dates.PAIRS)) == len(dates.PAIRS) == len(dates.LANGUAGES) ** 2
    assert re.fullmatch(r"Unicode CLDR as of Babel \d+\.\d+\.\d+", dates.SOURCE)
    assert generate(20, source="EN-us") == generate(20, source="en_US")
    with pytest.raises(AttributeError, match="SAUCE"):
        dates.SAUCE  # noqa: B018


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"part": "tran"}, "part must be one of train, validation, test; got 'tran'; nearest: train."),
        ({"source": "german"}, 'no CLDR locale "german"; nearest: de. Languages: cs, da, de, en'),
        ({"source": "enn"}, 'no CLDR locale "enn"; nearest: en.'),
        ({"source": "iso"}, 'no CLDR locale "iso"'),
        ({"target": "Hungarain"}, 'no CLDR locale "Hungarain"; nearest: hu.'),
        ({"target": "xx"}, "pt, ro, sv, tr and more, or iso."),
        ({"source": "bn"}, 'must write Latin digits (CLDR\'s "latn"); "bn" writes "beng".'),
        ({"chained": (0, 2)}, "chained must be (low, high) with 1 <= low <= high; got 0 and 2."),
        ({"chained": (3, 2)}, "got 3 and 2."),
        ({"count": -1}, "count and seed must be at least 0; got -1 and 0."),
        ({"seed": -2}, "got 400 and -2."),
    ],
)
def test_mistakes_are_told_in_a_line(options, said):
    with pytest.raises(UserError) as caught:
        generate(**options)
    assert str(caught.value).startswith("dates.generate: ") and said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_babel_it_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "babel"]:
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("dates_without_babel", dates.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # the import alone needs no Babel
    for ask in (lambda: module.generate(1, 0, part="train"), lambda: module.SOURCE):
        with pytest.raises(UserError, match=r"^dates.generate: needs babel: pip install 'keras_dl\[translation\]'\.$"):
            ask()
