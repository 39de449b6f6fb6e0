# PYTHON=python3.12 VENV=.venv-3.12 behind any of them: another CPython, in an environment of its own
# make train     the main job: tune, train, evaluate, export        make test      the fast tests
# make test-all  the slow tests, and those with an oracle, a browser or real data
# make test-exhaustive  what test-all has no time for: all rows of the dearest tests, an hour or more
# make kills     kill and resume runs, and compare bits             make lint      ruff

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EXTRAS := $(VENV)/.installed-extras
LONG := slow or oracle or browser or data
# A process runs all laws of a row of tests/cases.py, or all tests of a file: tests/conftest.py
SPREAD := -n 2 --dist loadfile --no-loadscope-reorder --durations=10

.PHONY: train test test-all test-exhaustive kills lint
.DELETE_ON_ERROR:

train: $(INSTALLED)
	$(BIN)/python apps/classify_images.py $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not ($(LONG))" $(SPREAD) $(ARGS)

test-all: $(EXTRAS)
	$(BIN)/python -m pytest -m "($(LONG)) and not exhaustive" $(SPREAD) $(ARGS)

test-exhaustive: $(EXTRAS)
	$(BIN)/python -m pytest -m exhaustive $(SPREAD) $(ARGS)

kills: $(INSTALLED)
	$(BIN)/python benchmarks/kills.py $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

$(INSTALLED): requirements.txt setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v <= (3, 13))' || \
		{ echo "keras_dl needs CPython 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(BIN)/python -m pip check
	@touch $@

# PyTorch is a peer and an oracle only; where pip would bring its CUDA build, install a CPU wheel first (README).
$(EXTRAS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt -e '.[bench,onnx,serving]'
	$(BIN)/python -m pip check
	@touch $@
