PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALLED := $(VENV)/.installed
BACKEND := .build/backends/fil/libtriton_fil.so
# What PyPI does not have. wrk drives `make bench`; jemalloc gives the memory of evicted models back.
SYSTEM_PACKAGES := libjemalloc2 wrk
# Without them the tests of the alert rules and of the status page are skipped. Debian starts Prometheus as a service.
TEST_PACKAGES := prometheus chromium-headless-shell
# Only a whole compiler brings the sanitizers; everything else is built without one.
SANITIZER_PACKAGES := g++
PACKAGES = $(SYSTEM_PACKAGES)
SUITE ?= fraud

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo up test test-unit test-timed sanitize compose-images compose-test lint format loadtest bench scale endurance soak plan-check lock system-packages test-packages sanitizer-packages clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(INSTALLED) $(BACKEND) ## make .venv, install everything pinned, build the FIL backend
	@ls /usr/lib/*/libjemalloc.so.2 >/dev/null 2>&1 || \
	  echo "Note: without libjemalloc2 Triton keeps the memory of evicted models. As root: apt-get install libjemalloc2"

demo: setup ## 70 merchants' models trained, compiled, served and checked in front of you
	@$(BIN)/python -m loadtests.demo

up: setup ## leave a node running on this machine to play with (Ctrl-C stops it)
	@$(BIN)/python -m loadtests.seed && $(BIN)/orchard up

test: setup ## all tests, on the real Triton, nginx and S3 server
	@$(BIN)/pytest

test-unit: $(INSTALLED) ## the fast tests only
	@$(BIN)/pytest tests/unit

compose-images: setup
	@$(BIN)/python -m tests.compose.images .build/compose

compose-test: compose-images ## as root: docker-compose.yml on an engine of its own, its base images made here
	@unshare --net sh -c 'ip link set lo up && exec $(BIN)/pytest tests/compose -s'

test-timed: setup ## tests that hold latencies: alone, on a quiet machine
	@$(BIN)/pytest tests/timed -s

sanitize: setup ## the FIL backend's tests, with address and undefined-behaviour sanitizers in it
	@$(BIN)/python -m tests.sanitize

lint: $(INSTALLED) ## ruff and mypy --strict
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy tools triton/sidecar loadtests tests

format: $(INSTALLED) ## let ruff rewrite the sources
	@$(BIN)/ruff check --fix && $(BIN)/ruff format

loadtest: setup ## one promise proved with Locust: SUITE=warm|cold|fraud|churn|noisy [HOST=http://...] [ARGS=...]
	@$(BIN)/python -m loadtests.suites $(SUITE) $(if $(HOST),--host $(HOST)) $(ARGS)

bench: setup ## throughput, latency, cold starts and memory, side by side
	@$(BIN)/python -m loadtests.bench

scale: setup ## 4,000 tenants pushed to an S3 server from a folder, and each served cold
	@$(BIN)/python -m loadtests.scale

endurance: setup ## 200 publishes under load, then the store killed and hung for a minute each
	@$(BIN)/python -m loadtests.endurance

soak: setup ## half an hour of random publishes, calls, kills, floods and evictions on one node [ARGS=...]
	@$(BIN)/python -m loadtests.soak $(ARGS)

plan-check: setup ## orchard plan's forecasts beside what a node then does, and the eviction policies compared
	@$(BIN)/python -m loadtests.plan_check
	@$(BIN)/python -m loadtests.plan_check.policies

lock: $(INSTALLED) ## choose the newest packages pyproject.toml allows, and pin them
	$(PIP) install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --upgrade --quiet --output-file requirements.lock \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_35 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url

system-packages: ## as root: install the Debian packages that PyPI has no wheel for
test-packages: PACKAGES = $(TEST_PACKAGES)
test-packages: ## as root: install those that only tests need
sanitizer-packages: PACKAGES = $(SANITIZER_PACKAGES)
sanitizer-packages: ## as root: install the compiler that make sanitize needs
system-packages test-packages sanitizer-packages:
	@set -e; missing=$$(for p in $(PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then missing="$$missing python3-venv"; fi; \
	if [ -n "$$missing" ]; then apt-get update && apt-get install -y --no-install-recommends $$missing; fi

clean: ## remove what set-up and running have made (not the stores)
	rm -rf $(VENV) .build .orchard .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(INSTALLED): pyproject.toml requirements.lock triton/server/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Orchard needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "Python cannot make a virtual environment here. As root: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the pinned packages into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --requirement requirements.lock
	@$(PIP) install --quiet --no-deps --requirement triton/server/requirements.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(BACKEND): $(INSTALLED) $(wildcard triton/fil/*.* triton/fil/src/*.* triton/fil/src/*/*.*)
	@command -v c++ >/dev/null || $(PIP) install --quiet --requirement triton/fil/requirements.txt
	@$(BIN)/python triton/fil/build.py
	@touch $@
