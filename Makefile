# Everything a newcomer types. `make demo` and `make test` do all the set-up themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
NATIVE := native/Cargo.toml native/Cargo.lock $(wildcard native/src/*.rs native/src/*/*.rs native/build.rs)

.PHONY: help demo test check format bench fuzz-smoke wheel lock clean
.DEFAULT_GOAL := help

help: ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.native ## build everything and show a car admitted by its DNS name, then shut out
	$(BIN)/dnsbound demo

test: $(VENV)/.native $(if $(PEERS),peers) ## run the tests; PEERS=install (as root) first installs the real peers
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

.PHONY: peers
peers:
	@tools/install-peers $(PEERS)

check: $(VENV)/.native ## format, lint, types, import contracts, clippy, and the documents' own checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	cargo fmt --manifest-path native/Cargo.toml --check
	cargo clippy --manifest-path native/Cargo.toml --release --locked --features pyo3/extension-module -- -D warnings

format: $(VENV)/.native ## rewrite the sources in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cargo fmt --manifest-path native/Cargo.toml

bench: $(VENV)/.native ## measure against peers started in the same run; prints the tables of docs/performance.md
	$(BIN)/python -m bench $(BENCH_ARGS)

fuzz-smoke: $(VENV)/.native ## every fuzz target for a short while
	$(BIN)/python -m fuzz --seconds $(or $(SECONDS_EACH),10)

wheel: $(VENV)/.deps ## build the wheel and try it in an environment without cargo
	$(BIN)/maturin build --release --locked --out dist
	tools/try-wheel dist

lock: ## resolve the newest allowed versions and write requirements.lock
	tools/lock $(PYTHON)

clean: ## remove what was built, except the compiled OpenSSL
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.deps: requirements.lock pyproject.toml tools/check-prerequisites
	@tools/check-prerequisites $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

$(VENV)/.native: $(VENV)/.deps $(NATIVE)
	@echo "building dnsbound (the first time, OpenSSL is compiled: some minutes)"
	VIRTUAL_ENV=$(abspath $(VENV)) PIP_QUIET=1 $(BIN)/maturin develop --release --locked
	@touch $@
