"""A process that lives as long as the tests and answers for every export that is saved, one after the other.

It is that of keras_dl.fresh_process, with TensorFlow and none of our code; to start one for each export takes seconds.
"""

import atexit
import pickle
import subprocess

from keras_dl import fresh_process

LOOP = """
import pickle, traceback
while True:
    folder, questions = pickle.load(sys.stdin.buffer)
    os.chdir(folder)
    try:
        reply = True, answer(questions)
    except Exception:
        reply = False, traceback.format_exc()
    os.chdir("/")
    pickle.dump(reply, answers_to)
    answers_to.flush()
"""


class AnsweringProcess:
    """Asked as fresh_process.ask is; it starts with the first question."""

    def __init__(self):
        self._process = None

    def ask(self, folder, questions):
        if self._process is None:
            self._process = subprocess.Popen(
                fresh_process.command(LOOP), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=fresh_process.environment(), cwd="/",
            )  # fmt: skip
            atexit.register(self._process.kill)
        pickle.dump((str(folder.absolute()), questions), self._process.stdin)
        self._process.stdin.flush()
        worked, reply = pickle.load(self._process.stdout)
        if not worked:
            raise RuntimeError(f"export.save: the export does not work in a fresh process:\n{reply}")
        return reply
