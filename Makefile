# Taskmill: the same targets for people and CI. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# An environment without pip, as Debian leaves it where python3-venv is missing, is not taken for a whole one later.
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := libs/contracts libs/runtime libs/sdk libs/cli services/gateway services/task-store services/processor
SOURCES := libs services tests benchmarks examples tools
# What of the tests runs in Node: folders with a package.json.
NODE_FOLDERS := tests/node examples/node-subscriber
NODE_INSTALLED := $(addsuffix /node_modules/.installed,$(NODE_FOLDERS))
# Two processes for each core, eight at most: each has servers of its own. The order is that of tests/conftest.py.
IN_PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# A machine of CI's may stand still for longer than services wait for each other. What failed there among all others is
# tried once more, alone, and both are told; a mistake fails again. Elsewhere a failure is a failure.
CI_TRIES_AGAIN := || { [[ $$? = 1 && -n "$$CI" ]] && echo "Once more, alone, what has just failed:" && \
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none; }

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: install
install: $(VENV)/.installed-dev $(VENV)/fuzz/.installed $(NODE_INSTALLED) ## Make .venv, with all that tests and checks need

.PHONY: run
run: $(VENV)/.installed ## Start everything on this machine: NATS, PostgreSQL and the three services
	@exec $(BIN)/taskmill up

.PHONY: test
test: $(VENV)/.installed-dev $(VENV)/fuzz/.installed $(NODE_INSTALLED) ## Run every test, on real servers, but those that need Docker
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not docker" $(CI_TRIES_AGAIN)

.PHONY: test-fast
test-fast: $(VENV)/.installed-dev $(NODE_INSTALLED) ## Run the tests that need no server (half a minute)
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not docker" tests/unit tests/contract tests/simulation

# Who speaks with both servers in all ways that there are; the task store alone has hundreds of tests more, which would
# find nothing else on the same servers in containers.
DOCKER_REPEATS := tests/integration/gateway tests/integration/processor tests/integration/runtime \
	--ignore tests/integration/gateway/test_schemathesis.py

.PHONY: test-docker
test-docker: $(VENV)/.installed-dev $(VENV)/fuzz/.installed $(NODE_INSTALLED) ## Run the tests that need Docker, and some of the integration tests on servers in Docker
	$(BIN)/python -m pytest -m docker
	$(if $(filter 0,$(DOCKER_OK)),,TASKMILL_TEST_SERVERS=docker $(BIN)/python -m pytest $(IN_PARALLEL) -m "not docker" $(DOCKER_REPEATS))

.PHONY: test-scaled
test-scaled: $(VENV)/.installed-dev $(NODE_INSTALLED) ## Run the e2e tests on two gateways, two task stores and four processors each (10 minutes)
	TASKMILL_TEST_SCALED=1 $(BIN)/python -m pytest $(IN_PARALLEL) -m "not docker" tests/e2e

EXAMPLES ?= 1000

.PHONY: fuzz-api
fuzz-api: $(VENV)/.installed-dev $(VENV)/fuzz/.installed ## Ask a gateway EXAMPLES=1000 times for each operation, as its OpenAPI document allows and not
	TASKMILL_TEST_API_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -s -o faulthandler_timeout=0 tests/integration/gateway/test_schemathesis.py

.PHONY: test-cluster
test-cluster: $(VENV)/.installed-dev ## Run the main job on three nats-servers that are killed in turn, a dozen times (4 minutes)
	TASKMILL_TEST_CLUSTER_KILLS=12 $(BIN)/python -m pytest tests/integration/test_nats_cluster.py

.PHONY: tutorial
tutorial: $(VENV)/.installed-dev ## Follow docs/tutorial.md in a fresh clone of what is committed, and tell the time (3 minutes)
	$(BIN)/python -m tests.tutorial

.PHONY: screenshots
screenshots: $(VENV)/.installed-dev ## Take the pictures of docs/dashboard.md anew, in Chromium (1 minute)
	$(BIN)/python -m tests.screenshots

.PHONY: chaos
chaos: $(VENV)/.installed-dev ## Inject every fault into the real system, and check what it promises (6 minutes)
	$(BIN)/python -m tests.chaos $(CHAOS_OPTIONS)

.PHONY: chaos-full
chaos-full: $(VENV)/.installed-dev ## A thousand kills in rounds, for hours; goes on where it was stopped, and writes docs/reliability.md
	$(BIN)/python -m tests.chaos --full

.PHONY: chaos-mutants
chaos-mutants: $(VENV)/.installed-dev ## Show that the harness finds mistakes: a dozen are planted in copies (15 minutes)
	$(BIN)/python -m tests.chaos.mutants $(CHAOS_OPTIONS)

.PHONY: bench
bench: $(VENV)/.installed-dev ## Measure Taskmill beside its peers (50 minutes); goes on where it was stopped, and writes docs/benchmarks.md
	$(BIN)/python -m benchmarks

.PHONY: bench-quick
bench-quick: $(VENV)/.installed-dev ## Measure without peers, and fail below what must be reached (3 minutes)
	$(BIN)/python -m benchmarks --quick $(BENCH_OPTIONS)

.PHONY: check
check: lint types imports drift security test-fast ## Check what each commit must pass (3 minutes at most)

.PHONY: check-all
check-all: lint types imports drift security test test-docker chaos ## Run exactly what CI runs

.PHONY: fmt
fmt: $(VENV)/.installed-dev ## Format the code and mend what can be mended
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

.PHONY: lint
lint: $(VENV)/.installed-dev ## Check format and style
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

.PHONY: types
types: $(VENV)/.installed-dev ## Check the types, strictly
	$(BIN)/mypy $(addsuffix /src,$(MEMBERS)) tests benchmarks examples tools

.PHONY: imports
imports: $(VENV)/.installed-dev ## Check that imports go one way only
	$(BIN)/lint-imports --no-cache

.PHONY: security
security: $(VENV)/.installed-dev ## Look for known vulnerabilities in what is locked, unsafe code, and secrets
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(addsuffix /src,$(MEMBERS)) examples tools
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
	$(BIN)/python -m tools.audit $(AUDIT_OPTIONS)

.PHONY: generate
generate: $(VENV)/.installed-dev ## Write what is generated: docs/ of messages, of the SDK, of commands and of metrics, and settings in .env.example and for Docker
	$(BIN)/python -m taskmill.contracts.generate
	$(BIN)/python -m tools.api_reference
	$(BIN)/python -m taskmill.cli.settings_files
	$(BIN)/python -m taskmill.cli.reference
	$(BIN)/python -m tools.metrics_reference

.PHONY: drift
drift: $(VENV)/.installed-dev ## Check that what is generated is up to date
	$(BIN)/python -m taskmill.contracts.generate --check
	$(BIN)/python -m tools.api_reference --check
	$(BIN)/python -m taskmill.cli.settings_files --check
	$(BIN)/python -m taskmill.cli.reference --check
	$(BIN)/python -m tools.metrics_reference --check

.PHONY: lock
lock: ## Resolve every version anew (needs uv)
	uv pip compile $(LOCK_OPTIONS) pyproject.toml -o requirements.lock
	uv pip compile $(LOCK_OPTIONS) --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	uv pip compile $(LOCK_OPTIONS) --group fuzz -o requirements-fuzz.lock
	for service in gateway task-store processor; do uv pip compile $(LOCK_OPTIONS) -c requirements.lock \
		services/$$service/pyproject.toml -o docker/locks/$$service.lock || exit; done
	echo hatchling | uv pip compile $(LOCK_OPTIONS) -c requirements.lock - -o docker/locks/build.lock

LOCK_OPTIONS := --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate -p 3.11 \
	$(foreach member,$(MEMBERS),--no-emit-package taskmill-$(notdir $(member)))

DIST := dist

.PHONY: dist
dist: $(VENV)/.installed ## Build what users install: wheels in dist/, for pip install --find-links dist 'taskmill[server]'
	rm -rf $(DIST)
	$(PIP_WHEEL) --wheel-dir $(DIST) $(addprefix ./,$(MEMBERS) libs/taskmill)

.PHONY: clean
clean: ## Remove the virtual environment, caches and data
	rm -rf $(VENV) $(addsuffix /node_modules,$(NODE_FOLDERS)) .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Taskmill needs Python 3.11 or newer.")'
	$(PYTHON) -m venv $(VENV)

PIP_WHEEL = $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
MANIFESTS := pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS))

$(VENV)/.installed: requirements.lock $(MANIFESTS) | $(VENV)/bin/python
	@echo "Installing into $(VENV); this is done once."
	$(PIP_INSTALL) --require-hashes -r requirements.lock
	$(PIP_INSTALL) --no-deps --no-build-isolation $(foreach member,$(MEMBERS),-e $(member))
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/fuzz/.installed: requirements-fuzz.lock | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/fuzz
	$(VENV)/fuzz/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(NODE_INSTALLED): %/node_modules/.installed: %/package-lock.json %/package.json %/.npmrc
	@command -v npm >/dev/null || { echo "The tests need Node 20 or newer, with npm." >&2; exit 1; }
	cd $* && npm ci --silent
	@touch $@
