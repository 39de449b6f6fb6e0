"""Ids of tokens and logits of the next token: what files of other formats take and give in place of texts."""

import dataclasses

import numpy as np

from keras_dl.features.base import Feature
from keras_dl.features.tokens import EOS, Tokens


@dataclasses.dataclass(frozen=True)
class TokenIds(Feature):
    """Ids of the tokens before each token of a text: int32 (B, T).

    Attributes:
        tokens: the vocabulary.
        begin: id of the token before a text.
        texts: strings with which a file is tested; they are cut to the shortest.
    """

    tokens: Tokens
    begin: int
    texts: tuple

    kind = "token_ids"
    dtype = "int32"
    shape = (None, None)

    def example(self):
        rows = self.tokens.encode(list(self.texts)).to_list()
        steps = max(1, min(map(len, rows)))
        return np.array([[self.begin, *row][:steps] for row in rows], np.int32)

    def in_numpy(self, name):
        words = f'text.replace("\\n", " {EOS} ").split()'
        return [
            'text = "some text"',
            f"pieces = {'list(text)' if self.tokens.level == 'character' else words}",
            'known = {piece: i for i, piece in enumerate(about["vocabulary"])}',
            'ids = [known.get(piece, about["unknown"]) for piece in pieces]',
            f'{name} = np.array([[about["begin"], *ids[:-1]]], np.int32)  # before each of them',
        ]


class NextLogits(Feature):
    """Logits of the token after each of those read: float32 (B, T, K)."""

    kind = "next_logits"
    shape = (None, None, None)

    def from_numpy(self, name):
        return [
            f'logits = answer["{name}"][0]',
            "logits -= logits.max(-1, keepdims=True)",
            "log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))",
            "log_likelihood = log_probabilities[np.arange(len(ids)), ids].sum()",
            'print(log_likelihood, "nats for", len(ids), "tokens")',
        ]
