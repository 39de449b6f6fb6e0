"""`python -m keras_dl show`: the card of an export, what a person needs first. Nothing here imports TensorFlow."""

import json
import re

from keras_dl import card_sentences, cards, console, tables, verification
from keras_dl.errors import printable
from keras_dl.wording import counted

ELSEWHERE = {  # fields that the first table, the endpoints and the calls show
    "name", "version", "trained_on", "metrics", "intervals", "report", "not_for", "licence", "chosen", "app", "created",
    "parameters", "command", "formats", "run", "endpoints", "files", "call", "signature",
}  # fmt: skip
LANGUAGES = {"predict": "on the command line", "python": "in Python", "rest": "through TensorFlow Serving's REST API"}


def show(asked):
    """The card and the signatures of an export.

    Args:
        asked: the parsed command line, with `export`, the export's path.

    Raises:
        UserError: there is no such export, or its card is damaged.
    """
    folder, card = cards.find(asked.export)
    tables.show(f"Export {folder}", ["", ""], summary(card), multiline=("",))
    calls = sorted(card.get("call", {}).items(), key=lambda call: call[0] == "rest")  # it is the longest
    for way, how in calls:
        text = how if isinstance(how, str) else _as_json(how)
        where = LANGUAGES.get(way, f"the file of the format {way}")
        console.say(f"\nHow to call it, {where}:\n{text}")
    for name, endpoint in card["endpoints"].items():
        print()
        tables.show(f"Endpoint {name}", ["", "name", "type", "kind"], list(of_endpoint(endpoint)))
    details = [[name, tables.few(value)] for name, value in card.items() if name not in ELSEWHERE]
    print()
    tables.show("Details", ["", ""], details)


def _as_json(value):
    """A JSON value with line breaks, but lists of numbers, such as the 88 keys of a time step, in one line each."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    numbers = re.compile(r"\[\n([\d.,eE+\s-]+)\]")  # a text has no line breaks of its own
    return numbers.sub(lambda match: f"[{' '.join(match[1].split())}]", text)


def summary(card):
    """[name, text] of what a person needs to know of an export, from its card; cards of earlier versions have less."""
    strange = verification.not_ours(card)
    parameters = card.get("parameters", {}).get("trainable")
    origin = [card.get("app"), card.get("created", "")[:10], counted(parameters, "parameters") if parameters else ""]
    texts = {
        "trained on": [card.get("trained_on") or card_sentences.trained_on(_data(card))],
        "test": metrics(card),
        "report": card.get("report", ()),
        "not for": card.get("not_for", ()),
        "licence of the data": [card.get("licence", "")],
        "chosen": [card.get("chosen", {}).get("sentence", "")],
        "made": [", ".join(filter(None, origin))],
        "run": [card.get("run", "")],
        "command": [card.get("command", "")],
        "formats": [", ".join(["SavedModel", "Keras", *card.get("formats", ())])],
        "signature": [f"{strange}: predict needs --trust" if strange else "this user's"],
    }
    rows = [[name, "\n".join(printable(text) for text in below if text)] for name, below in texts.items()]
    return [row for row in rows if row[1]]


def metrics(card):
    """Texts such as "accuracy 0.924 [0.91, 0.94]", with the interval if the card has it."""
    for name, value in card.get("metrics", {}).items():
        interval = card.get("intervals", {}).get(name)
        bounds = ", ".join(f"{bound:.4g}" for bound in interval or ())
        number = f"{value:.4g}" if isinstance(value, float) else tables.short(value)
        yield f"{name} {number} [{bounds}]" if bounds else f"{name} {number}"


def of_endpoint(endpoint):
    """[way, name, type, kind] of every input and output of a card's endpoint, its limits, and their measured cost."""
    for way in ("inputs", "outputs"):
        for field, spec in endpoint[way].items():
            shape = "(" + ", ".join("any" if n is None else str(n) for n in spec["shape"]) + ")"
            default = f", default {spec['default']}" if "default" in spec else ""
            yield [way[:-1], field, f"{spec['dtype']} {shape}", spec["kind"] + default]
    for what, most in endpoint.get("limits", {}).items():
        yield ["at most", what, f"{most:,}", ""]
    if endpoint.get("measured"):
        figures = endpoint["measured"]
        cost = f"{figures['peak_mb']:,.0f} MB, {figures['seconds']:.1f} s"
        yield ["measured", "largest requests", cost, figures["model"]]


def _data(card):
    """The card's description of the data, without fields of other types than card_sentences.trained_on reads."""
    data = card.get("data") or {}
    counts = data.get("counts")
    numbers = isinstance(counts, dict) and all(isinstance(count, int) for count in counts.values())
    return {field: data[field] for field in ("name", "source") if isinstance(data.get(field), str)} | (
        {"counts": counts} if numbers else {}
    )
