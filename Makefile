# Everything starts here: `make demo` shows the product, `make test` proves it.
#
# One release build serves the wheel, the daemon and all tests. It lives outside the checkout, so that a
# fresh clone on the same machine only builds what changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

export CARGO_TARGET_DIR ?= $(HOME)/.cache/mosaicolabs/target
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -type f -not -path '*/tests/*')
PYTHON_SOURCES := pyproject.toml $(shell find python -name '*.py' -o -name '*.pyi' -o -name py.typed)

# For the tests on buckets; built once, about three minutes.
MINIO := $(HOME)/.cache/mosaicolabs/minio/minio

.PHONY: demo test test-rust test-python test-postgres lint docs bench wheel install ontologies minio clean

demo: install  ## Builds the wheel, records a generated flight, replays and checks it.
	$(BIN)/mosaico demo

test: lint docs test-rust test-postgres test-python  ## Everything CI runs.

test-rust:
	cargo test --release --workspace --exclude mosaico-py

test-postgres: install  ## What touches the catalogue, once more on Postgres.
	tests/with_postgres cargo test --release --workspace --exclude mosaico-py --test it
	tests/with_postgres $(BIN)/python -m pytest -k "daemon or query or events or resume or postgres"

test-python: install minio
	$(BIN)/python -m pytest

lint: install  ## Formatting, lints, types, stubs.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check python tests benches
	$(BIN)/ruff check python tests benches
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest mosaicolabs._native
	$(BIN)/python tests/check_prose.py

docs: install  ## The documentation in site/; a broken link or reference fails.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: install  ## One table: ours beside other ways, both sides in one run.
	$(BIN)/python benches/run.py

ontologies:  ## What the daemon knows of the data classes, after one has changed.
	$(BIN)/python tests/write_ontologies.py

minio:  ## An S3 to test with; without it its tests are skipped.
	@test -x $(MINIO) || { command -v go >/dev/null && GOBIN=$(dir $(MINIO)) go install github.com/minio/minio@latest; } \
		|| echo "no MinIO, so the tests on buckets are skipped: install Go, then \`make minio\`"

wheel: $(VENV)/.wheel  ## dist/mosaicolabs-*.whl

# The venv's own tools come first; the wheel is rebuilt when a source is newer and installed when it changed.
install: $(VENV)/.installed

$(VENV)/.tools: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet "maturin>=1.9.4,<2" --group dev
	touch $@

$(VENV)/.wheel: $(VENV)/.tools $(RUST_SOURCES) $(PYTHON_SOURCES) README.md
	rm -rf dist
	$(BIN)/maturin build --release --quiet --out dist --interpreter $(BIN)/python
	touch $@

$(VENV)/.installed: $(VENV)/.wheel
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps dist/mosaicolabs-*.whl
	$(BIN)/python -m pip install --quiet dist/mosaicolabs-*.whl
	touch $@

clean:  ## Removes the checkout's products; the shared build folder stays.
	rm -rf $(VENV) dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
