"""Says what is being done where nothing else is printed for some seconds."""

import contextlib
import threading

from keras_dl import console

PATIENCE = 2.5  # seconds of silence


@contextlib.contextmanager
def waiting(sentence, patience=PATIENCE):
    """A context that prints `sentence` once if what is done in it takes longer than `patience` seconds.

    Its value is the timer; after its cancel() nothing is printed.
    """
    timer = threading.Timer(patience, console.say, [sentence])
    timer.daemon = True
    timer.start()
    try:
        yield timer
    finally:
        timer.cancel()
