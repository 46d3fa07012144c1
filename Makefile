# Two commands on a fresh machine: `make train` and `make test`. Each makes its own virtual environment first.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: train test test-slow faults lint format audit lock clean help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

train: .venv/run.done  ## train and test a model: make train ARGS="loss=soft_infonce weights=bm25 lang=python"
	$(BIN)/python -m src.train $(ARGS)

test: .venv/dev.done  ## all fast tests
	$(BIN)/python -m pytest

test-slow: .venv/dev.done  ## the slow tests too
	$(BIN)/python -m pytest -m "slow or not slow"

faults: .venv/dev.done  ## injects faults, prints which were survived: make faults ARGS="2 5" (rows)
	$(BIN)/python -m tests.faults $(ARGS)

lint: .venv/dev.done  ## style (ruff), the layers of src/ (import-linter) and types (mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: .venv/dev.done  ## ruff: mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

audit: .venv/tools.done  ## known vulnerabilities of the pinned versions
	.ci/audit .venv/tools/bin/pip-audit constraints.txt

lock: .venv/tools.done  ## .ci/requirements.lock: every version with its hashes, for linux and python 3.11
	.venv/tools/bin/uv pip compile pyproject.toml --all-extras -c constraints.txt --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --python-version 3.11 --python-platform linux -o .ci/requirements.lock

clean:  ## removes the virtual environment and caches, never outputs/
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/tools.done: .venv/bin/python
	$(PYTHON) -m venv .venv/tools
	.venv/tools/bin/python -m pip install --quiet --disable-pip-version-check "pip-audit>=2.7" "uv>=0.5"
	@touch $@

.venv/run.done: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/dev.done: .venv/run.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@
