# Everything works on a clean clone with python3, pip and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo check test bench lock clean

help:            ## show what there is to make
	@grep -hE '^[a-z]+: .*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(READY)  ## create the virtual environment

$(READY): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)   ## set up and run the whole pipeline once on this machine
	$(BIN)/windrow demo

check: $(READY)  ## lint, types, import rules and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/cfn-lint infra/template.yaml
	$(BIN)/pytest -n 2 tests/unit tests/property tests/golden

test: $(READY)   ## all tests that need no account
	$(BIN)/pytest -n 2 --dist loadgroup tests

bench: $(READY)  ## measure the hot paths against their baselines
	$(BIN)/python -m bench

lock:            ## resolve requirements/*.in into hashed locks (needs uv)
	cd requirements && uv pip compile -q --universal --generate-hashes --python-version 3.11 windrow.in -o windrow.txt
	cd requirements && uv pip compile -q --universal --generate-hashes --python-version 3.11 -c windrow.txt functions.in -o functions.txt
	cd requirements && uv pip compile -q --universal --generate-hashes --python-version 3.11 -c windrow.txt dev.in -o dev.txt

clean:           ## remove what make made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
