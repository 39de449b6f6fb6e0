"""Generate bad inputs, give them to everything that takes input, and count the answers that are not clear.

    python benchmarks/bad_inputs.py                       # all parts: 6,000 inputs, some 15 minutes
    python benchmarks/bad_inputs.py --part builders --limit 300

An answer is clear in two cases: the input works (a builder's model gives finite logits, a loader's first batch is
finite), or it is refused in one line that names what was wrong, by a ValueError that the project raises on purpose
(errors.UserError is one). Everything else is a fault:

    traceback   another exception, or a ValueError that TensorFlow, Keras, NumPy or Python raised
    lines       a refusal of several lines, or of more than a thousand characters
    unnamed     a refusal that does not say what was wrong
    accepted    a wrong value was accepted: it does not work, or it is not of the argument's type
    left        a refused command left something behind
    printed     control characters reached the terminal
    hang        no answer within the time;  memory: more memory than was allowed;  crash: the process died

The inputs are drawn by --seed. They run in worker processes, which are killed when an input hangs or uses too much
memory.
"""

import argparse
import collections
import dataclasses
import functools
import importlib
import json
import os
import random
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = {  # name -> (the module whose function of that name makes its inputs, how many of them are drawn)
    "builders": ("bad_inputs_calls", 2000), "library": ("bad_inputs_calls", 1200),
    "apps": ("bad_inputs_commands", 600), "commands": ("bad_inputs_commands", 500),
    "predict": ("bad_inputs_commands", 600), "cards": ("bad_inputs_files", 500), "runs": ("bad_inputs_files", 100),
    "files": ("bad_inputs_files", 500),
}  # fmt: skip
FAULTS = ("traceback", "lines", "unnamed", "accepted", "left", "printed", "hang", "memory", "crash")
LONGEST = 1000  # characters of a refusal
SECONDS = 20  # an input may take
START = 600  # seconds a worker may take until its first input
MEMORY = 5_000  # MB a worker may hold
NAMED = 40  # characters of a name that a refusal must have
SHOWN = 160  # characters of an input in the report
OURS = tuple(str(ROOT / room) + os.sep for room in ("keras_dl", "apps"))


@dataclasses.dataclass(frozen=True)
class BadInput:
    """One input.

    Attributes:
        place: where it is given, such as "build_lstm units"; faults are counted by place.
        text: the input as one would write it.
        call: gives the input to its place. It raises what is raised there, or a Fault where the answer is one.
        names: a refusal must contain at least one of these words.
    """

    place: str
    text: str
    call: Callable
    names: tuple = ()


class Fault(Exception):
    """Raised by `call` where it finds that an answer is not clear: Fault(kind, sentence)."""


def main(argv=None):
    asked = _parser().parse_args(argv)
    if asked.worker:
        return work(asked)
    sys.stdout.reconfigure(errors="backslashreplace")  # inputs have letters that no terminal shows
    parts = asked.part or list(PARTS)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keras_dl-bad-inputs-") as scratch:
        results = {part: run(part, asked, Path(scratch)) for part in parts}
    report = summary(results)
    share, count = report["metrics"]["clear_of_all"], report["details"]["inputs"]
    print(f"{share:.2f} % of {count:,} inputs have a clear answer; {time.monotonic() - began:.0f} s")
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2, ensure_ascii=False))
    raise SystemExit(any(record["outcome"] in FAULTS for records in results.values() for record in records))


def summary(results):
    """{"metrics", "details"} of {part: [record]}: the share of clear answers, and the counts of all outcomes."""
    records = [record for part in results.values() for record in part]
    kinds = collections.Counter(record["outcome"] for record in records)
    faults = sum(kinds[kind] for kind in FAULTS)
    share = 100 * (len(records) - faults) / max(1, len(records))
    return {
        "metrics": {"clear_of_all": share, "tracebacks": kinds["traceback"] + kinds["crash"], "hangs": kinds["hang"]},
        "details": {
            "inputs": len(records),
            "outcomes": dict(kinds),
            "parts": {part: dict(collections.Counter(r["outcome"] for r in rows)) for part, rows in results.items()},
        },
    }


def run(part, asked, scratch):
    """Run a part's inputs in `jobs` workers side by side and print its faults; returns [record]."""
    records, failures, began = [], [], time.monotonic()

    def one(number):
        try:
            _Worker(part, asked, scratch / f"{part}-{number}", number).run(records)
        except Exception:  # of this script: it must not be taken for an answer
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=one, args=(number,)) for number in range(asked.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"bad_inputs: part {part} did not run:\n{failures[0]}")
    records.sort(key=lambda record: record["at"])
    faults = [record for record in records if record["outcome"] in FAULTS]
    places = collections.Counter((record["place"], record["outcome"]) for record in faults)
    print(f"{part}: {len(records):,} inputs, {len(faults):,} faults, {time.monotonic() - began:.0f} s", flush=True)
    for (place, outcome), count in sorted(places.items()):
        print(f"  {count:4} {outcome:9} {place}")
        same = [record for record in faults if (record["place"], record["outcome"]) == (place, outcome)]
        for record in same[: asked.examples]:
            print(f"         {record['text']}\n           -> {record['said']}")
    return records


class _Worker:
    """A process that runs every `jobs`-th input; a new one goes on where it hangs, dies or uses too much memory."""

    def __init__(self, part, asked, scratch, number):
        self.asked, self.at = asked, number
        self.command = [
            sys.executable, __file__, "--worker", "--part", part, "--seed", str(asked.seed), "--scratch", str(scratch),
            "--limit", str(asked.limit), "--jobs", str(asked.jobs),
        ]  # fmt: skip
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}

    def run(self, records):
        while self.at is not None:
            with subprocess.Popen(
                [*self.command, "--first", str(self.at)], stdout=subprocess.PIPE, env=self.environment,
                start_new_session=True,
            ) as process:  # fmt: skip
                try:
                    self._listen(process, records)
                finally:
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)

    def _listen(self, process, records):
        given, heard, queued, buffer = None, time.monotonic(), 0.0, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(0.5):
                    data = os.read(process.stdout.fileno(), 1 << 16)
                    if not data:  # the process ended: after all its inputs, or because it died
                        status = process.wait()
                        if given is None and status == 0:
                            self.at = None
                        elif given is None:
                            raise RuntimeError(f"a worker ended with {status} before an input: {self.command}")
                        else:
                            self._lost(given, "crash", f"the process ended with status {status}", records)
                        return
                    buffer += data
                    *lines, buffer = buffer.split(b"\n")
                    for line in map(json.loads, lines):
                        given = line if "outcome" not in line else None
                        if given is None:
                            records.append(line)
                            self.at = line["at"] + self.asked.jobs
                    heard, queued = time.monotonic(), _queued_seconds(process.pid)
                if given is not None and (held := _memory(process.pid)) > self.asked.memory:
                    return self._lost(given, "memory", f"the process holds {held:,} MB", records)
                allowed = START if given is None else self.asked.seconds
                # On a busy machine, the time in which it waits for a processor does not count.
                waited = time.monotonic() - heard - (_queued_seconds(process.pid) - queued)
                if waited > allowed:
                    if given is None:
                        raise RuntimeError(f"a worker did not begin within {allowed} s: {self.command}")
                    return self._lost(given, "hang", f"no answer within {waited:.0f} s", records)

    def _lost(self, given, outcome, said, records):
        records.append({**given, "outcome": outcome, "said": said})
        self.at = given["at"] + self.asked.jobs


def work(asked):
    """A worker: run every --jobs-th input from --first on, and write a line before and after each."""
    channel = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nowhere:  # what inputs print goes nowhere
        os.dup2(nowhere.fileno(), 1)
        if not os.environ.get("BAD_INPUTS_STDERR"):
            os.dup2(nowhere.fileno(), 2)
    (part,) = asked.part
    inputs = drawn(part, asked.seed, asked.limit, asked.scratch)
    for at in range(asked.first, len(inputs), asked.jobs):
        bad = inputs[at]
        line = {"at": at, "place": bad.place, "text": bad.text[:SHOWN]}
        print(json.dumps(line), file=channel, flush=True)
        began = time.monotonic()
        outcome, said = judged(bad)
        line |= {"outcome": outcome, "said": said[:500], "seconds": round(time.monotonic() - began, 2)}
        print(json.dumps(line), file=channel, flush=True)


def drawn(part, seed, limit, scratch):
    """`limit` of a part's inputs, drawn; its own number where `limit` is 0."""
    module, count = PARTS[part]
    make = getattr(importlib.import_module(module), part)
    scratch.mkdir(parents=True, exist_ok=True)
    inputs = make(random.Random(seed), scratch)
    count = min(limit or count, len(inputs))
    return [inputs[at] for at in sorted(random.Random(seed).sample(range(len(inputs)), count))]


def judged(bad):
    """(outcome, what was said) of one input; "works" and "refused" are clear, the others are FAULTS."""
    try:
        bad.call()
    except Fault as fault:
        return fault.args
    except ValueError as error:
        return refusal(error, bad.names)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        return "traceback", _where(error)
    return "works", ""


def refusal(error, names):
    """(outcome, what was said) of a ValueError: "refused" where it is one line of ours that names what was wrong."""
    said = str(error)
    if not _ours(error):
        return "traceback", _where(error)
    if len(said.splitlines()) != 1 or len(said) > LONGEST:
        return "lines", said
    plain = _plain(said)
    if names and not any(_plain(name)[:NAMED] in plain for name in names):
        return "unnamed", f"{said} [none of: {', '.join(names)}]"
    return "refused", said


def _plain(text):
    return " ".join(text.split()).lower().replace("-", "_")


def _ours(error):
    """Did the project raise it? An error that repeats its cause's sentence counts as its cause."""
    cause = error.__cause__
    if cause is not None and " ".join(str(cause).split()) == str(error):
        return _ours(cause)
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(OURS) and frames[-1].line.startswith("raise ")


def _where(error):
    """The error in one line, with the last line of ours that it came through."""
    while error.__cause__ is not None and " ".join(str(error.__cause__).split()) == str(error):
        error = error.__cause__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(OURS)]
    at = f" ({Path(frames[-1].filename).relative_to(ROOT)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{at}"


@functools.cache
def _page_megabytes():
    return os.sysconf("SC_PAGE_SIZE") / 2**20


def _memory(pid):
    """Megabytes of memory that a process holds; 0 where it is gone."""
    try:
        return int(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _page_megabytes())
    except (OSError, IndexError):
        return 0


def _queued_seconds(pid):
    """How long a process has been ready to run without a processor; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--part", action="append", choices=PARTS, help="may be repeated; all where none is named")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--limit", type=int, default=0, help="inputs of a part, at most; 0: its own number")
    parser.add_argument("--jobs", type=int, default=2, help="workers side by side")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that an input may take")
    parser.add_argument("--memory", type=int, default=MEMORY, help="megabytes that a worker may hold")
    parser.add_argument("--examples", type=int, default=2, help="inputs shown of each kind of fault at each place")
    parser.add_argument("--json", type=Path, help="write the result there")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    # The parts import Fault from here by name, which must be this very module.
    sys.modules["bad_inputs"] = sys.modules["__main__"]
    main()
