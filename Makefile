# Every target is listed by `make help` from the comment behind its name.
PYTHON ?= python3
VENV := .venv
BENCH_VENV := .venv-bench
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup lock promtool demo bench test faults check format

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.packages $(VENV)/.broker ## everything the rest needs, into .venv and a cache

$(VENV)/.packages: requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "Python 3.11 to 3.13 is needed, $(PYTHON) is $$($(PYTHON) --version): set PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements-dev.lock
	@touch $@

$(VENV)/.broker: $(VENV)/.packages
	$(BIN)/python -m app broker --fetch
	@touch $@

lock: $(VENV)/.packages ## resolve the lock files anew
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade \
		--custom-compile-command "make lock" --extra tracing pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade \
		--custom-compile-command "make lock" --extra broker --extra dev --extra tracing -c requirements.lock \
		pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade \
		--custom-compile-command "make lock" bench/requirements.in -o bench/requirements.lock

promtool: $(BIN)/promtool ## Prometheus' own check of its rules, from Debian; without it those tests are skipped

$(BIN)/promtool: | $(VENV)/.packages
	folder=$$(mktemp -d) && cd "$$folder" && apt-get download -qq prometheus && \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && \
		mv usr/bin/promtool $(CURDIR)/$@; code=$$?; rm -r "$$folder"; exit $$code

demo: setup ## broker, simulator, workers and a hundred orders (ARGS=--exit ends by itself)
	$(BIN)/python -m app demo $(ARGS)

bench: setup $(BENCH_VENV)/.packages ## measure, see bench/README.md (ARGS=--quick, ARGS=--help)
	$(BIN)/python -m bench $(ARGS)

$(BENCH_VENV)/.packages: bench/requirements.lock $(VENV)/.packages
	test -x $(BENCH_VENV)/bin/python || $(BIN)/python -m venv --without-pip $(BENCH_VENV)
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BENCH_VENV)/bin/python bench/requirements.lock
	@touch $@

test: setup ## all tests but the longest of `make faults`, on a real broker (ARGS are pytest's)
	$(BIN)/python -m pytest $(ARGS)

faults: setup ## break the system on purpose, in every way there is (ARGS are pytest's)
	$(BIN)/python -m pytest tests/faults -m "full or not full" $(ARGS)

check: setup ## format, lint, types, import contracts, deployment files, tests: what CI runs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict faust.yml compose.yaml deploy
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/python -m pytest $(ARGS)

format: $(VENV)/.packages ## put the code into its form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
