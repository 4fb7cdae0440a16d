# Two commands set everything up: `make quickstart` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: quickstart test test-postgres test-realdata test-browser test-cuda test-slow chaos lint types docs bench clean

quickstart: $(VENV)/installed
	$(BIN)/ablata study run quickstart

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[vision]'
	touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[test]'
	touch $(VENV)/installed $@

$(VENV)/installed-docs: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[docs]'
	touch $(VENV)/installed $@

$(VENV)/installed-bench: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[bench]'
	touch $(VENV)/installed $@

# Two processes of one thread each: most tests are small, and some start processes and wait for them.
test: $(VENV)/installed-test lint types
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

test-postgres: $(VENV)/installed-test
	$(BIN)/pytest -m "postgres and not slow"

test-realdata: $(VENV)/installed-test
	$(BIN)/pytest -m "realdata and not slow"

test-browser: $(VENV)/installed-test
	$(BIN)/pytest -m browser

test-cuda: $(VENV)/installed-test
	$(BIN)/pytest -m cuda

test-slow: $(VENV)/installed-test
	$(BIN)/pytest -m slow --timeout 3000

KILLS ?= 30
chaos: $(VENV)/installed-test
	CHAOS_KILLS=$(KILLS) $(BIN)/pytest -m slow --timeout 14400 -s tests/studies/test_chaos.py

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy

docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/installed-bench
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/training_step.py --root $${ABLATA_DATA:?set it to the folder of data sets, cifar10 among them}/cifar10 --compile
	$(BIN)/python benchmarks/decision_rule.py --studies 400
	$(BIN)/python benchmarks/unequal_noise.py --studies 1000

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache
