# All that is done to ptmeter, by name. `make` alone lists it.
#
# Nothing has to be there but make and a Python >= 3.11 with venv; uv is used where it is found, because
# it is faster. What gets installed is pinned with hashes in requirements/, so the same on every machine.

# Candidates for the interpreter; the first that works and is new enough makes the .venv.
PYTHON ?= python3.13 python3.12 python3.11 python3 python
BIN = .venv/bin
# Further arguments for what is run: make test ARGS="-n 2 -k hold"
ARGS =

INSTALL = if uv --version >/dev/null 2>&1; then set -- uv pip install --quiet --python $(BIN)/python; \
	else set -- $(BIN)/python -m pip install --quiet --disable-pip-version-check; fi; "$$@"

# The pip that comes with Python 3.11 takes "coverage[toml]" for a package that nobody pinned.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/pip.txt

# The theme prints a notice about a successor into every build.
export NO_MKDOCS_2_WARNING = 1


.PHONY: help demo test simulate mutate soak check format docs stripe-cli localstripe bench bench-ledger accuracy wheel lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/.demo-stamp  ## Show ptmeter at work on a ledger of its own; needs nothing but Python
	$(BIN)/ptmeter demo $(ARGS)

test: .venv/.dev-stamp  ## Run the tests; ARGS go to pytest
	$(BIN)/pytest $(ARGS)

soak: .venv/.dev-stamp  ## Kill clients and servers for some minutes; ARGS="--cycles 200" for longer
	$(BIN)/pytest tests/soak --override-ini "python_files=soak_*.py" --override-ini "python_functions=soak_*" $(ARGS)
# The first seed, and how many.
SEED = 0
SEEDS = 10000
simulate: .venv/.dev-stamp  ## Simulate SEEDS runs with all that can go wrong, beginning with SEED
	$(BIN)/python -m tests.simulator --seed $(SEED) --seeds $(SEEDS) $(ARGS)

mutate: .venv/.dev-stamp  ## Break the ledger in one place after the other; what no test notices is printed
	$(BIN)/python -m scripts.mutate $(ARGS)

check: .venv/.dev-stamp  ## Lint, format, types, floors, the sync twin, docstrings, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/unasync.py --check
	$(BIN)/interrogate --quiet src || $(BIN)/interrogate -vv src
	$(BIN)/mkdocs build --strict --quiet

format: .venv/.dev-stamp  ## Repair what can be repaired, and write the sync twin
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .
	$(BIN)/python scripts/unasync.py

docs: .venv/.dev-stamp  ## Build the documentation into site/, readable without a server
	$(BIN)/mkdocs build --strict
	@echo "open site/index.html"

stripe-cli: .venv/stripe-cli/.stamp  ## Install Stripe's own command line, by which the fake Stripe is tested (needs npm)

localstripe: .venv/localstripe/.stamp  ## Install a Stripe that we did not write, whose webhooks a test takes in

bench: .venv/.dev-stamp  ## Run the benchmarks; a figure for this machine, never a gate
	$(BIN)/pytest bench --override-ini "python_files=bench_*.py" --benchmark-enable --benchmark-only $(ARGS)

bench-ledger: .venv/.dev-stamp  ## Measure the ledger beside its rivals; ARGS such as "--rounds 5 --only sqlite"
	$(BIN)/python -m bench.ledger $(ARGS)

accuracy: .venv/.dev-stamp  ## Measure how near estimates come, and draw the picture; see bench/accuracy.py
	$(BIN)/python -m bench.accuracy

wheel: .venv/.dev-stamp  ## Build the sdist and, from it, the wheel into dist/
	$(BIN)/python -m build --no-isolation

# Only releases older than a week: a bad one is usually withdrawn by then. No URLs, so that a mirror serves too.
LOCK = uv pip compile --quiet --universal --generate-hashes --no-annotate --exclude-newer "1 week" \
	--custom-compile-command "make lock" --upgrade
lock:  ## Choose all versions anew, with hashes (needs uv)
	echo pip | $(LOCK) - --output-file requirements/pip.txt
	$(LOCK) pyproject.toml --all-extras --group dev --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --extra cli --group demo --constraint requirements/dev.txt --output-file requirements/demo.txt
	echo localstripe | $(LOCK) - --output-file requirements/localstripe.txt

# It is of another licence (GPL): in an environment of its own, run as a process of its own, and never imported.
.venv/localstripe/.stamp: requirements/localstripe.txt .venv/.dev-stamp
	@$(BIN)/python -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The lock is npm's, with hashes and, made by `npm install --omit-lockfile-registry-resolved`, without addresses; it
# pins the binary for Linux on x64. Elsewhere, or with a CLI of your own: PTMETER_STRIPE_CLI=/path/to/stripe make test
.venv/stripe-cli/.stamp: requirements/stripe-cli.json
	@mkdir -p $(@D)
	@cp requirements/stripe-cli.json $(@D)/package-lock.json
	@echo '{"name": "stripe-cli", "version": "0.0.0", "dependencies": {"@stripe/cli": "1.52.0"}}' >$(@D)/package.json
	@npm install --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent
	@$(@D)/node_modules/.bin/stripe --version
	@touch $@

clean:  ## Remove what builds and tests left; the .venv stays (to begin anew: rm -rf .venv)
	rm -rf build dist site .coverage* .benchmarks .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment: a stamp is as old as the installation it stands for ---

.venv/pyvenv.cfg:
	@for python in $(PYTHON); do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making .venv with $$($$python --version)"; $$python -m venv .venv && $(PIP) && exit; rm -rf .venv; \
	  fi; \
	done; \
	echo "ptmeter needs Python 3.11 or newer with venv: install one, or name it as in 'make PYTHON=/path/to/python3.12'." >&2; \
	exit 1

.venv/.demo-stamp: .venv/pyvenv.cfg requirements/demo.txt pyproject.toml
	@echo "installing requirements/demo.txt"
	@$(INSTALL) --require-hashes -r requirements/demo.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev-stamp: .venv/pyvenv.cfg requirements/dev.txt pyproject.toml
	@echo "installing requirements/dev.txt"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch .venv/.demo-stamp $@
