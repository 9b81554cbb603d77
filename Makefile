# Everything works on a clean clone with python3, pip and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEMO_READY := $(VENV)/.demo-ready
# Tools whose own requirements would pull ours down live apart.
AUDIT       := .venv-audit
AUDIT_READY := $(AUDIT)/.ready
COUNTERPARTS       := .venv-counterparts
COUNTERPARTS_READY := $(COUNTERPARTS)/.ready $(COUNTERPARTS)-spark4/.ready
READERS            := tests/counterparts/readers

# What one process has compiled, the next one reads, also where the shell says otherwise, as in many containers: a demo
# starts a dozen processes, the tests some hundreds.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo check lint fast-tests audit advisories test tests-that-compute tests-with-a-stage counterparts simulate-faults fuzz bench wheels lock clean

help:            ## show what there is to make
	@grep -hE '^[a-z-]+: .*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 17

setup: $(READY)  ## create the virtual environment

$(READY): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@ $(DEMO_READY)

# Python compiles what it runs; compiling everything takes as long as all the rest. The lock is whole, so nothing is left
# to resolve.
$(DEMO_READY): requirements/demo.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements/demo.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(AUDIT_READY): requirements/audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt
	@touch $@

.venv-%/.ready: requirements/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(READERS)/node_modules: $(READERS)/package.json
	npm install --silent --no-audit --no-fund --no-package-lock --prefix $(READERS)
	@touch $@

demo: $(DEMO_READY) ## install what it needs, and run the whole pipeline on this machine
	$(BIN)/windrow demo

check: $(READY)  ## lint, types, import rules and the fast tests
	@$(MAKE) --no-print-directory -j 2 lint fast-tests

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/cfn-lint infra/template.yaml
	$(BIN)/mypy

fast-tests: $(READY)
	WINDROW_EXAMPLES=5 $(BIN)/pytest -n 2 -m "not slow" tests/unit tests/property tests/golden

audit: $(AUDIT_READY)  ## look for what is unsafe in the template and the code
	$(AUDIT)/bin/checkov --quiet --compact --skip-download --framework cloudformation --file infra/template.yaml \
		> $(AUDIT)/checkov.txt || { cat $(AUDIT)/checkov.txt; exit 1; }
	grep "Passed checks: [1-9]" $(AUDIT)/checkov.txt # without this it passes over a template that it cannot read
	$(AUDIT)/bin/bandit --quiet --configfile pyproject.toml --recursive windrow windrow_cli windrow_operations producers processors dispatcher analytics infra

advisories: $(AUDIT_READY)  ## look up known weaknesses of all that is locked (needs the network)
	for lock in windrow dev audit counterparts counterparts-spark4; do $(AUDIT)/bin/pip-audit --require-hashes --disable-pip -r requirements/$$lock.txt || exit 1; done

# Tests of a stage mostly wait for it; beside them the others have the cores.
test: $(READY)   ## all tests that need no account
	@$(MAKE) --no-print-directory -j 3 audit tests-that-compute tests-with-a-stage

tests-that-compute: $(READY)
	$(BIN)/pytest -n 2 --dist loadgroup tests/unit tests/property tests/golden tests/simulation

tests-with-a-stage: $(READY)
	$(BIN)/pytest -n 2 --dist loadgroup tests/emulator tests/packaging tests/browser

counterparts: $(READY)  ## ask a real Trino (Java 24 or newer), Spark, KPL, KCL, Flink (Java 17) and Telegraf (Go); ONLY=kcl asks one
	-@$(MAKE) --no-print-directory --keep-going $(COUNTERPARTS_READY) $(READERS)/node_modules # what is missing is skipped
	WINDROW_COUNTERPARTS=1 $(BIN)/pytest -n 0 -rs tests/counterparts$(if $(ONLY),/test_$(ONLY).py)

simulate-faults: $(READY)  ## many random simulations of AWS going wrong: make simulate-faults SEEDS=20000
	$(BIN)/python -m tests.simulation.simulate_faults --seeds $(or $(SEEDS),2000)

# make fuzz SECONDS=60 is shorter.
fuzz: SECONDS = 600
fuzz: $(READY)   ## mutate events, then contracts and their payloads, for ten minutes each, and see that nothing breaks
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --only contracts

bench: $(READY)  ## measure the hot paths against their baselines
	$(BIN)/python -m bench

wheels: $(READY) ## build the distributions windrow and windrow-producer into dist/
	$(BIN)/python -m hatchling build --target wheel --directory dist
	cd distributions/producer && ../../$(BIN)/python -m hatchling build --target wheel --directory ../../dist

lock:            ## resolve requirements/*.in into hashed locks (needs uv)
	cd requirements && uv pip compile -q --universal --generate-hashes --python-version 3.11 windrow.in -o windrow.txt
	cd requirements && uv pip compile -q --universal --generate-hashes --python-version 3.11 -c windrow.txt functions.in -o ../infra/functions.txt
	cd requirements && uv pip compile -q --universal --generate-hashes --python-version 3.11 -c windrow.txt dev.in -o dev.txt
	$(PYTHON) requirements/derive_demo.py
	$(PYTHON) -m requirements.derive_api
	cd requirements && uv pip compile -q --universal --generate-hashes --python-version 3.11 audit.in -o audit.txt
	cd requirements && uv pip compile -q --universal --generate-hashes --python-version 3.11 counterparts.in -o counterparts.txt
	cd requirements && uv pip compile -q --universal --generate-hashes --python-version 3.11 counterparts-spark4.in -o counterparts-spark4.txt

clean:           ## remove what make made
	rm -rf $(VENV) $(AUDIT) $(COUNTERPARTS) $(COUNTERPARTS)-spark4 .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
