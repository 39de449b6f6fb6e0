"""The largest requests that the endpoints of text and translation take, by the limits in an export's card.

Rows of the table `safety`: REQUESTS[row](card) gives {case: {input: value}}, each answered by the row's endpoint.
"""

import itertools


def text_score(card):
    """As many texts as there may be, and one that is as long as possible."""
    return {
        f"{texts} x {tokens} tokens": {"text": [_text(card, tokens)] * texts}
        for texts, tokens in _shapes(card, "score", "texts")
    }


def text_generate(card):
    """All of a text drawn, with and without a restriction, and all but its last token given."""
    cases = {}
    for texts, tokens in _shapes(card, "generate", "texts"):
        for what, length, more in (
            ("all drawn", tokens, {}),
            ("all drawn of a nucleus", tokens, {"top_p": 0.99}),
            ("one drawn", 1, {}),
        ):
            request = {"prime": [_text(card, tokens - length)] * texts, "length": length}
            cases[f"{texts} x {tokens} tokens, {what}"] = _defaults(card, "generate") | request | more
    return cases


def translate(card):
    """As many sentences as there may be, and one that is as long as possible."""
    return {
        f"{sentences} x {tokens} tokens": _defaults(card, "translate")
        | {"source": [_sentence(card, tokens)] * sentences}
        for sentences, tokens in _shapes(card, "translate", "sentences")
    }


def translation_sample(card):
    return _of_sentences(card, "sample")


def translation_score(card):
    cases = {}
    for sentences, tokens in _shapes(card, "score", "sentences"):
        texts = [_sentence(card, tokens)] * sentences
        cases[f"{sentences} x {tokens} tokens"] = {"source": texts, "target": texts}
    return cases


REQUESTS = {
    "text_score": text_score, "text_generate": text_generate, "translate": translate,
    "translation_sample": translation_sample, "translation_score": translation_score,
}  # fmt: skip


def _of_sentences(card, endpoint):
    defaults, cases = _defaults(card, endpoint), {}
    for sentences, tokens in _shapes(card, endpoint, "sentences"):
        cases[f"{sentences} x {tokens} tokens"] = defaults | {"source": [_sentence(card, tokens)] * sentences}
    return cases


def _shapes(card, endpoint, rows):
    """(rows, tokens of each): as many rows as there may be, the longest row, and the most of it side by side."""
    from keras_dl.endpoints.translation import BEYOND

    limits = card["endpoints"][endpoint]["limits"]
    most, longest, together = limits[rows], limits["tokens"], limits["tokens_of_all"]
    beyond = BEYOND if endpoint in ("translate", "sample") else 0
    sizes = [(most, min(longest, together // most - beyond)), (1, longest), (together // (longest + beyond), longest)]
    return dict.fromkeys((count, tokens) for count, tokens in sizes if 0 < count <= most and tokens > 0)


def _defaults(card, endpoint):
    inputs = card["endpoints"][endpoint]["inputs"]
    return {name: spec["default"] for name, spec in inputs.items() if "default" in spec}


def _text(card, tokens):
    """A text of so many tokens that a language model knows."""
    level, vocabulary = card["preprocess"]["level"], card["preprocess"]["vocabulary"]
    known = [token for token in vocabulary if token.isalpha()] or [token for token in vocabulary if token.strip()]
    return ("" if level == "character" else " ").join(itertools.islice(itertools.cycle(known[-9:]), tokens))


def _sentence(card, tokens):
    """A sentence of about so many sub-words, its end counted, and never of more."""
    from keras_dl.data.subwords import Subwords

    subwords = Subwords(tuple(card["preprocess"]["pieces"]))
    letters = [piece for piece in subwords.pieces if len(piece) == 1 and piece.isalpha()]
    each = {letter: len(subwords.encode([f"{letter} {letter}"])[0]) // 2 for letter in letters[:9]}
    word = min(each, key=each.get)
    return " ".join([word] * ((tokens - 1) // each[word]))
