"""Says what is being done where nothing else is printed for some seconds."""

import contextlib
import sys
import threading
import time

from keras_dl import console
from keras_dl.errors import printable

PATIENCE = 2.5  # seconds of silence
REFRESH = 0.2  # seconds between two updates of a line on a terminal


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


@contextlib.contextmanager
def counting(doing, unit="step", patience=PATIENCE):
    """A context of a long loop that prints how far it is, such as "drawing pictures: step 312 of 784 ...".

    Its value is a function at(number, total), to be called after every turn of the loop. It prints nothing before
    `patience` seconds; then, on a terminal, a line that is overwritten and in the end erased, and elsewhere a line
    after 2.5, 5, 10, 20 ... seconds.

    Args:
        doing: what is being done.
        unit: what a turn of the loop is.
    """
    began, terminal = time.monotonic(), sys.stdout.isatty()
    due, width = began + patience, 0

    def at(number, total):
        nonlocal due, width
        now = time.monotonic()
        if now < due:
            return
        text = printable(f"{doing}: {unit} {number:,} of {total:,} ...")
        print("\r" + text.ljust(width) if terminal else text, end="" if terminal else "\n", flush=True)
        width = len(text)
        due = now + (REFRESH if terminal else now - began)

    try:
        yield at
    finally:
        if terminal and width:
            print("\r" + " " * width, end="\r", flush=True)
