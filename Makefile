# Every command of this repository. Needs make, git and Python 3.11 or newer; all else is installed into .venv and .venvs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv demo test format lint types suite chaos golden checkers frameworks legs bench bench-gate readme clean

VENV := .venv
BIN := $(VENV)/bin
BENCH := .venvs/bench
ARGS ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

venv: $(VENV)/.all ## make .venv with everything that development needs

$(VENV)/.demo: pyproject.toml scripts/make-venv scripts/find-python
	@scripts/make-venv $(VENV) --editable '.[cli]' --group demo
	@touch $@

# `pyright --version` makes pyright fetch the rest of itself now, so that no check needs the network.
$(VENV)/.all: pyproject.toml scripts/make-venv scripts/find-python
	@scripts/make-venv $(VENV) --editable '.[cli,migrate,otel,postgres,web]' --group demo --group test --group api --group browser --group frameworks --group types --group lint --group build
	@$(BIN)/pyright --version
	@touch $(VENV)/.demo $@

$(BENCH)/.all: pyproject.toml scripts/make-venv scripts/find-python
	@scripts/make-venv $(BENCH) --editable '.[cli,postgres]' --group bench
	@touch $@

demo: $(VENV)/.demo ## replay 200 recorded conversations through the tracker; options: make demo ARGS="--seed 7"
	@$(BIN)/runstate demo $(ARGS)

test: lint types suite checkers frameworks legs ## all that must be proven: the six targets below

lint: $(VENV)/.all ## format and lint rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pre-commit validate-config

types: $(VENV)/.all ## mypy strict and pyright strict
	$(BIN)/mypy
	$(BIN)/pyright --warnings

suite: $(VENV)/.all ## the tests, on the sources; options: make suite ARGS="-k journal -x"
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

chaos: $(VENV)/.all ## the long proofs, for about an hour and a half; options: make chaos ARGS="--only storm --store sqlite --seed 7 --minutes 20"
	$(BIN)/python -m tests.chaos $(ARGS)

golden: $(VENV)/.all ## the golden path, end to end, for some five minutes; options: make golden ARGS="--seed 7 --messages 10000"
	$(BIN)/python -m tests.golden $(ARGS)

checkers: $(VENV)/.all ## the mypy plugin under every mypy of its range
	$(BIN)/python scripts/checkers.py $(ARGS)

frameworks: $(VENV)/.all ## the adapters under the lowest and the newest version of each framework
	$(BIN)/python scripts/frameworks.py $(ARGS)

legs: $(VENV)/.all ## the tests on the built wheel, for every Python found and the lowest dependencies
	$(BIN)/python scripts/legs.py

format: $(VENV)/.all ## format, and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: $(VENV)/.all ## write anew what README.md and docs/ quote as output
	$(BIN)/python scripts/readme.py
	$(BIN)/python -m tests.guide

bench: $(BENCH)/.all ## measure, and print the table
	$(BENCH)/bin/python -m bench $(ARGS)

bench-gate: $(BENCH)/.all ## measure, and fail where a budget of bench/budgets.toml is broken
	$(BENCH)/bin/python -m bench --gate $(ARGS)

clean: ## delete what these targets made, the environments included
	rm -rf $(VENV) .venvs dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
