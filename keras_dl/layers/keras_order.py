"""Positional arguments for layers that replace Keras' own and have further arguments between theirs."""

import functools
import inspect

from keras_dl.wording import counted


def in_the_order_of(keras_layer):
    """A decorator for __init__: its arguments can be passed by position too, in the order of `keras_layer`'s.

    The signature that inspect, help() and Keras see lists the Keras layer's arguments first, then the new ones.

    Raises (the decorated __init__):
        TypeError: more positional arguments than the Keras layer takes, or an argument given twice.
    """
    theirs = list(inspect.signature(keras_layer.__init__).parameters.values())
    names = [p.name for p in theirs[1:] if p.kind is p.POSITIONAL_OR_KEYWORD]

    def decorate(init):
        @functools.wraps(init)
        def by_position(self, *args, **kwargs):
            who = type(self).__name__
            if len(args) > len(names):
                raise TypeError(f"{who} takes at most {counted(len(names), 'arguments')} by position; got {len(args)}.")
            given = dict(zip(names, args, strict=False))
            if twice := sorted(given.keys() & kwargs.keys()):
                raise TypeError(f"{who}: {', '.join(twice)} must be given once; got it by position and by name.")
            return init(self, **given, **kwargs)

        own = inspect.signature(init).parameters
        shown = [p.replace(default=own[p.name].default) if p.name in own else p for p in theirs]
        more = [p for p in own.values() if p.name not in names and p.kind is p.KEYWORD_ONLY]
        del by_position.__wrapped__  # else Keras would also read the signature of the wrapped __init__
        by_position.__signature__ = inspect.Signature([*shown[:-1], *more, shown[-1]])
        return by_position

    return decorate
