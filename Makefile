# `make demo` shows what Mnemic does, `make serve` serves it, `make test` proves it. All set themselves up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
export OMP_NUM_THREADS ?= 1

.PHONY: demo serve test check bench clean

demo: $(VENV)/base
	$(BIN)/mnemic models pull splade-tiny
	$(BIN)/mnemic demo

# Options go into ARGS: make serve ARGS="--port 9000 --store notes"
serve: $(VENV)/ui
	$(BIN)/mnemic models pull splade-tiny
	$(BIN)/mnemic serve $(ARGS)

# One process for each core; the tests of one file stay together, for they share what is dear to set up.
test: $(VENV)/dev
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev
	$(BIN)/mnemic models pull splade-tiny
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf $(VENV) .demo .bench

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mnemic needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/base: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/ui: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e '.[ui]'
	touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e '.[dev,dense,bench]'
	touch $@
