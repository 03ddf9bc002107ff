# The verbs of this project. Nothing is needed but Python 3.11 or newer and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet
HASHED := --require-hashes --only-binary :all:
# Tests on the real Kafka wait more than they work, so more processes than two cores are not too many.
# A file stays in one of them, which has a broker of its own if any needs one. (Not loadgroup: with
# pytest 9.2 xdist 3.8 spreads the tests of a group without a word.)
WORKERS ?= 4
SPREAD  := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(UPGRADE)

.PHONY: help demo test chaos lint tools docs lock dist again clean
.DEFAULT_GOAL := help

help: ## list the verbs
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  \1\t/'

demo: $(VENV)/.run ## the whole product in one process: no account, no Docker
	@$(BIN)/conversions demo

test: $(VENV)/.dev ## every test; those on the real Kafka need `make tools` once
	@$(BIN)/python -m pytest $(SPREAD) $(TESTS)

chaos: $(VENV)/.dev ## kill, stop and starve everything on the real Kafka; MINUTES=10 SEED=7
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

lint: $(VENV)/.dev ## ruff and mypy
	@$(BIN)/ruff format --check .
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/ruff check .
	@$(BIN)/mypy

tools: $(VENV)/.run ## bring Kafka, a registry, Prometheus and more into the cache outside the tree
	@$(BIN)/python tests/tools.py
	@$(BIN)/python tests/go_tools.py
	@$(BIN)/python tests/python_tools.py
	@$(BIN)/python tests/debian_tools.py
	@$(BIN)/python tests/helm_tools.py

docs: $(VENV)/.run ## write the generated pages anew
	@$(BIN)/python docs/generate.py

$(VENV)/.python: $(if $(wildcard $(BIN)/python),,again)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed; name one: make $(MAKECMDGOALS) PYTHON=python3.13' >&2; exit 2; }
	@echo 'setting up $(VENV) (once)'
	@rm -rf $(VENV); $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo '$(PYTHON) cannot make a virtual environment (Debian, Ubuntu: apt-get install python3-venv)' >&2; exit 2; }
	@touch $@

$(VENV)/.run: requirements.lock requirements-build.lock pyproject.toml $(VENV)/.python
	@$(PIP) $(HASHED) -r requirements.lock -r requirements-build.lock
	@$(PIP) --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@$(PIP) $(HASHED) -r requirements-dev.lock
	@touch $@

lock: $(VENV)/.dev ## resolve the locks anew; UPGRADE=--upgrade takes newer versions
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) --group build -c requirements.lock -o requirements-build.lock
	$(COMPILE) pyproject.toml --extra otel --group build --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) pyproject.toml --extra otel -c requirements-dev.lock -o requirements-otel.lock
	$(COMPILE) tests/python_tools.py -o tests/python_tools.lock
	$(COMPILE) tests/checkov.in -o tests/checkov.lock
	@! grep -nE '://|--(extra-)?index|--find-links' requirements*.lock tests/*.lock

dist: $(VENV)/.run ## the wheel, the source archive and a CycloneDX list of what runs with it, into dist/
	@$(BIN)/python tests/python_tools.py
	@rm -rf dist
	@$(BIN)/python -m hatchling build -d dist
	@PYTHONWARNINGS=ignore $$($(BIN)/python -c 'from tests.python_tools import command_of; print(*command_of("cyclonedx-py"))') \
		requirements requirements.lock --pyproject pyproject.toml --output-reproducible --output-file dist/conversions-consumer.cdx.json

clean: ## remove what was set up; the tools' cache stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist
