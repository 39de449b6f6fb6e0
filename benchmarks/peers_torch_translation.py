"""The models with attention of the step_time scripts and of decoding_speed.py as users of PyTorch write them.

Shapes: B sentences, S and T tokens of source and target, d width, n units, V words; token 0 is padding. With
batch_first=False the time axis is before the batch axis in all inputs and outputs of a model.
"""

import math

import torch
from torch import nn
from torch.nn import functional


class Transformer(nn.Module):
    """nn.Transformer after the published equations: a norm after every sum, and no further norm at the end of a stack.

    Dropout is applied where ours applies it, and also, as nn.Transformer does, to the attention's weights and within
    the feed-forward layers; same_dropout=True switches these two off.

    Args:
        words: V, of both sides; one matrix for both embeddings and the output.
        bias: biases in the attention.

    tokens (B, S) and (B, T) -> logits (B, T, V).
    """

    def __init__(
        self, words=8000, width=256, layers=4, inner=1024, heads=4, dropout=0.1, *, bias=True, same_dropout=False,
        batch_first=False,
    ):  # fmt: skip
        super().__init__()
        stacks = []
        for kind, stack in (
            (nn.TransformerEncoderLayer, nn.TransformerEncoder), (nn.TransformerDecoderLayer, nn.TransformerDecoder),
        ):  # fmt: skip
            layer = kind(width, heads, inner, dropout, batch_first=batch_first)
            for name, attention in list(layer.named_children()):
                if isinstance(attention, nn.MultiheadAttention):
                    rate = 0.0 if same_dropout else dropout
                    own = nn.MultiheadAttention(width, heads, rate, bias=bias, batch_first=batch_first)
                    setattr(layer, name, own)
            if same_dropout:
                layer.dropout = nn.Identity()  # within the feed-forward layers
            fast = {"enable_nested_tensor": False} if stack is nn.TransformerEncoder else {}
            stacks.append(stack(layer, layers, **fast))
        self.transformer = nn.Transformer(
            width, heads, custom_encoder=stacks[0], custom_decoder=stacks[1], batch_first=batch_first
        )
        self.embedding = nn.Embedding(words, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.dropout, self.batch_first = nn.Dropout(dropout), batch_first
        self.register_buffer("positions", sinusoids(1024, width), persistent=False)

    def forward(self, source, target):
        rows = [tokens if self.batch_first else tokens.t() for tokens in (source, target)]
        hidden, closed = [rows[k] == 0 for k in (0, 1)]
        later = torch.ones(rows[1].shape[1], rows[1].shape[1], dtype=torch.bool).triu(1)
        features = self.transformer(
            self.embedded(source), self.embedded(target), tgt_mask=later, src_key_padding_mask=hidden,
            tgt_key_padding_mask=closed, memory_key_padding_mask=hidden,
        )  # fmt: skip
        return functional.linear(features, self.embedding.weight)

    def embedded(self, tokens, start=0):
        """tokens (B, T) -> (B, T, d), their first at position `start`."""
        x = self.embedding(tokens) * math.sqrt(self.embedding.embedding_dim)
        rows = self.positions[start : start + tokens.shape[1 if self.batch_first else 0]]
        return self.dropout(x + (rows if self.batch_first else rows[:, None]))


class Cached:
    """Attention of steps whose keys and values are kept; `heads` is how many heads it has."""

    def projected(self, attention, x, first, last):
        """Of query, key and value those from `first` to before `last`, as one product."""
        rows, bias = slice(first * x.shape[-1], last * x.shape[-1]), attention.in_proj_bias
        return functional.linear(x, attention.in_proj_weight[rows], None if bias is None else bias[rows])

    def by_head(self, x):
        """(N, t, d) -> (N, h, t, d / h)"""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def attended(self, attention, queries, keys, values, mask=None):
        contexts = functional.scaled_dot_product_attention(queries, keys, values, mask)
        return attention.out_proj(contexts.transpose(1, 2).flatten(2))

    def own(self, attention, x, kept):
        """Attention of a step x (N, 1, d) to what was kept, a pair or None, and itself: (N, 1, d), what is kept now."""
        queries, *new = map(self.by_head, self.projected(attention, x, 0, 3).chunk(3, -1))
        if kept is not None:
            new = [torch.cat(pair, 2) for pair in zip(kept, new, strict=True)]
        return self.attended(attention, queries, *new), new


class CachedDecoder(Cached):
    """Generates with a Transformer (batch_first) token by token; keys and values of earlier tokens are kept."""

    def __init__(self, model):
        self.model, self.layers = model, model.transformer.decoder.layers
        self.heads = self.layers[0].self_attn.num_heads

    def begin(self, source):
        """(B, S) -> what stays the same: each layer's keys and values of the source (B, h, S, d / h), and the mask."""
        hidden = source == 0
        memory = self.model.transformer.encoder(self.model.embedded(source), src_key_padding_mask=hidden)
        read = []
        for layer in self.layers:
            keys, values = self.projected(layer.multihead_attn, memory, 1, 3).chunk(2, -1)
            read.append((self.by_head(keys), self.by_head(values)))
        return read, ~hidden[:, None, None]

    def step(self, tokens, cache, memory):
        """One step for tokens (N,), N a multiple of B.

        Args:
            cache: each layer's keys and values (N, h, t, d / h) of the tokens before; None at the first step.
            memory: of `begin`.

        Returns:
            logits (N, V), and the cache with this step's keys and values.
        """
        read, seen = memory
        x = self.model.embedded(tokens[:, None], 0 if cache is None else cache[0][0].shape[2])
        written, sentences = [], len(seen)
        for k, layer in enumerate(self.layers):
            outputs, new = self.own(layer.self_attn, x, None if cache is None else cache[k])
            written.append(new)
            x = layer.norm1(x + outputs)
            queries = self.projected(layer.multihead_attn, x, 0, 1)
            queries = self.by_head(queries.view(sentences, -1, x.shape[-1]))  # rows of a sentence ask its one memory
            outputs = self.attended(layer.multihead_attn, queries, *read[k], seen)
            x = layer.norm2(x + outputs.view(x.shape))
            x = layer.norm3(x + layer.linear2(functional.relu(layer.linear1(x))))
        return functional.linear(x[:, 0], self.model.embedding.weight), written


class WordTransformer(nn.Module, Cached):
    """The Transformer's decoder without a source; it writes a token at a time, keys and values kept.

    tokens (N,), of each layer keys and values (N, h, t, d / h) or None -> logits (N, V), keys and values.
    """

    def __init__(self, words=10_000, width=256, layers=4, inner=1024, heads=4):
        super().__init__()
        self.layers, self.heads = nn.ModuleList(), heads
        for _ in range(layers):
            layer = nn.TransformerEncoderLayer(width, heads, inner, batch_first=True)
            layer.self_attn = nn.MultiheadAttention(width, heads, bias=False, batch_first=True)
            self.layers.append(layer)
        self.embedding = nn.Embedding(words, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.register_buffer("positions", sinusoids(1024, width), persistent=False)

    def forward(self, tokens, cache=None):
        start, kept = 0 if cache is None else cache[0][0].shape[2], []
        x = self.embedding(tokens[:, None]) * math.sqrt(self.embedding.embedding_dim) + self.positions[start]
        for k, layer in enumerate(self.layers):
            outputs, new = self.own(layer.self_attn, x, None if cache is None else cache[k])
            kept.append(new)
            x = layer.norm1(x + outputs)
            x = layer.norm2(x + layer.linear2(functional.relu(layer.linear1(x))))
        return functional.linear(x[:, 0], self.embedding.weight), kept


class AttentionGru(nn.Module):
    """Bahdanau et al.'s model: a bidirectional nn.GRU, a loop over nn.GRUCell with attention, maxout after the loop.

    nn.GRU and nn.GRUCell apply the reset gate after the recurrent matrix, and have two biases where the paper has one.
    The encoder reads padding, too: for sentences of one length there is no need to pack them.

    tokens (B, S) and (B, T) -> logits (B, T, V).
    """

    def __init__(self, words=8000, units=256, vector=256, attention=256, outputs=256, *, batch_first=False):
        super().__init__()
        self.source_embedding = nn.Embedding(words, vector)
        self.encoder = nn.GRU(vector, units, bidirectional=True, batch_first=batch_first)
        self.first_state = nn.Linear(units, units)
        self.target_embedding = nn.Embedding(words, vector)
        self.keys = nn.Linear(2 * units, attention)
        self.query = nn.Linear(units, attention, bias=False)
        self.score = nn.Linear(attention, 1, bias=False)
        self.cell = nn.GRUCell(vector + 2 * units, units)
        self.output = nn.Linear(units + 2 * units + vector, 2 * outputs)
        self.logits = nn.Linear(outputs, words)
        self.batch_first = batch_first

    def forward(self, source, target):
        time = 1 if self.batch_first else 0
        annotations, _ = self.encoder(self.source_embedding(source))
        backward = annotations.select(time, 0)[:, self.first_state.in_features :]
        state = torch.tanh(self.first_state(backward))
        keys, closed = self.keys(annotations), source == 0  # U h, once for all steps
        y = self.target_embedding(target)
        seen = []
        for vector in y.unbind(time):
            scores = self.score(torch.tanh(self.query(state).unsqueeze(time) + keys)).squeeze(-1)
            weights = torch.softmax(scores.masked_fill(closed, -math.inf), time)
            if self.batch_first:
                context = torch.bmm(weights[:, None], annotations)[:, 0]
            else:
                context = torch.einsum("sb,sba->ba", weights, annotations)
            seen.append(torch.cat([state, context], -1))
            state = self.cell(torch.cat([vector, context], -1), state)
        seen = torch.cat([torch.stack(seen, time), y], -1)
        return self.logits(self.output(seen).unflatten(-1, (-1, 2)).amax(-1))


NETWORKS = {"transformer": Transformer, "attention_gru": AttentionGru, "word_transformer": WordTransformer}


def build(network, **arguments):
    """A network of NETWORKS, with PyTorch's initialisation."""
    return NETWORKS[network](**arguments)


def redundant(model):
    """Second biases of nn.GRU and nn.GRUCell."""
    layers = [module for module in model.modules() if isinstance(module, nn.GRU | nn.GRUCell)]
    return sum(w.numel() for layer in layers for name, w in layer.named_parameters() if name.startswith("bias_hh"))


def sinusoids(length, width):
    """PE of arXiv:1706.03762, section 3.5: (length, width)."""
    angles = torch.arange(length)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def copy_transformer(weights, model):
    """Weights of our Transformer or TransformerLM, {layer: arrays as its get_weights() has them}, into PyTorch's."""

    def put(parameter, *arrays):
        parameter.copy_(torch.cat([torch.from_numpy(a.T.copy()) for a in arrays]))

    if isinstance(model, WordTransformer):
        stacks = [("decoder", model.layers, 1)]
    else:
        both = model.transformer
        stacks = [("encoder", both.encoder.layers, 1), ("decoder", both.decoder.layers, 2)]
    with torch.no_grad():
        put(model.embedding.weight, weights["embedding"][0].T)
        for side, layers, attentions in stacks:
            for n, layer in enumerate(layers, 1):
                own = {"attention": "self_attn", "cross_attention": "multihead_attn"}
                for name, place in list(own.items())[:attentions]:
                    given, attention = weights[f"{side}{n}_{name}"], getattr(layer, place)
                    if attention.in_proj_bias is None:
                        q, k, v, o = given
                    else:
                        q, q_bias, k, k_bias, v, v_bias, o, o_bias = given
                        put(attention.in_proj_bias, q_bias, k_bias, v_bias)
                        put(attention.out_proj.bias, o_bias)
                    put(attention.in_proj_weight, q, k, v)
                    put(attention.out_proj.weight, o)
                norms = ("attention", "feed_forward") if attentions == 1 else (
                    "attention", "cross_attention", "feed_forward",
                )  # fmt: skip
                pairs = {f"{name}_norm": getattr(layer, f"norm{k}") for k, name in enumerate(norms, 1)}
                for name, module in (pairs | {"up": layer.linear1, "down": layer.linear2}).items():
                    for parameter, array in zip(
                        (module.weight, module.bias), weights[f"{side}{n}_{name}"], strict=True
                    ):
                        put(parameter, array)
