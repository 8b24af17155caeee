# The same commands at home and in CI. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
STATE ?= .local
# The first Python 3.11 or later that this user can run; a system interpreter will do.
PYTHON ?= $(shell for p in python3.11 python3 /usr/bin/python3; do "$$p" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat requirements/develop.txt requirements/debian.txt pyproject.toml | sha256sum | cut -c1-16)

.PHONY: help setup demo up down status trace test lint format generate bench bench-identity

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is needed"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/develop.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	requirements/debian.sh $(VENV)/debian
	touch $(STAMP)

setup: $(STAMP) ## install everything into .venv

demo: setup ## the main story on this machine; ONCE=1 takes the stack away afterwards
	$(BIN)/python -m deploy.local --state $(STATE) demo $(if $(ONCE),--once)

up: setup ## start the local stack
	$(BIN)/python -m deploy.local --state $(STATE) up

down: setup ## stop it and remove everything it made
	$(BIN)/python -m deploy.local --state $(STATE) down

status: setup ## what of the local stack runs
	$(BIN)/python -m deploy.local --state $(STATE) status

trace: setup ## print the trace ID as a tree
	$(BIN)/python -m deploy.local --state $(STATE) trace $(ID)

test: lint ## linters and every test
	$(BIN)/python -m pytest -n 3 --dist loadgroup -q

lint: setup ## ruff, mypy, import-linter, buf, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy services client deploy tests bench
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check
	$(BIN)/python protos/lint.py

format: setup ## let ruff format and mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: setup ## stubs and the gateway's descriptors from protos/
	$(BIN)/python protos/generate.py

bench-identity: setup ## the matching engine beside Splink; FULL=1 for a million persons
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	$(BIN)/python -m bench.identity $(if $(FULL),--persons 1000000)

bench: setup ## benchmarks; FULL=1 for the full sizes
	$(BIN)/python -m bench $(if $(FULL),--full)
