"""What the card of an export says to a person: what the model was trained on, for what it is not fit, and the licence.

The sentences are made of the data set's description and of the endpoints' features. Nothing here imports TensorFlow.
"""

from keras_dl.wording import counted, noun

FEW = 1_000  # examples: with fewer, the card says that they are few
UNKNOWN = "unknown: ask whoever published the data before you pass the model on"


def of(endpoints, data):
    """{"trained_on": sentence, "not_for": sentences, "licence": sentence} of an export.

    Args:
        endpoints: {name: Endpoint}.
        data: what data.Info.config returns, or another description of the data with some of its fields; {} if nothing
            is known of them.
    """
    features = [f for e in endpoints.values() for way in (e.inputs, e.outputs) for f in way.values()]
    unit = next((feature.counted for feature in features if feature.is_fed), "examples")
    name = data.get("name") or "its training data"
    sentences = [sentence for feature in features for sentence in feature.not_for(name)]
    sentences += few(data.get("counts", {}), unit)
    facts = {"trained_on": trained_on(data, unit), "not_for": list(dict.fromkeys(sentences))}
    if data:
        facts["licence"] = data.get("licence") or UNKNOWN
    return {field: value for field, value in facts.items() if value}


def trained_on(data, unit="examples"):
    """A sentence such as "digits (source): 1,293 train, 144 validation, 360 test pictures"; "" if nothing is known."""
    if not data.get("name"):
        return ""
    source = f" ({data['source']})" if data.get("source") else ""
    counts = [f"{count:,} {part}" for part, count in data.get("counts", {}).items()]
    units = noun(list(data.get("counts", {}).values())[-1], unit) if counts else ""
    return f"{data['name']}{source}" + (f": {', '.join(counts)} {units}" if counts else "")


def few(counts, unit):
    """Sentences on splits that are small."""
    if counts.get("train", FEW) < FEW:
        yield f"what is rare: it has learnt from {counted(counts['train'], unit)} only"
    if counts.get("test", FEW) < FEW:
        yield f"fine comparisons: its figures were measured on {counted(counts['test'], unit)} only"
