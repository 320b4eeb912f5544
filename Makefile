# Everything starts here: `make demo` shows the product, `make test` proves it.
#
# `demo` and `test` build with the profile `fast` of Cargo.toml; `wheel` and `bench` with `release`. What is compiled lies
# outside the checkout, so that a fresh clone on the same machine only builds what changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

export MACOSX_DEPLOYMENT_TARGET ?= 11.0
export CARGO_TARGET_DIR ?= $(HOME)/.cache/mosaicolabs/target
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -type f -not -path '*/tests/*')
PYTHON_SOURCES := pyproject.toml $(shell find python -name '*.py' -o -name '*.pyi' -o -name py.typed)

# With all crates, as the wheel has them: a smaller choice would need its dependencies with other features, compiled apart.
CARGO_TESTS := --profile fast --workspace
PYTEST := $(BIN)/python -m pytest
# Most tests wait for disks and other processes: more of them than there are cores run at the same time.
export RUST_TEST_THREADS ?= 4
PYTEST_WORKERS := -n 4 --dist worksteal
PYTHON_FILES := python tests benches deploy conftest.py tests/with_services

# Runs a step and says how long it took.
step = @echo "== $(1)"; SECONDS=0; $(2); echo "== $(1): $$SECONDS s"

.PHONY: demo test test-fast test-with-services test-rust test-rust-build test-attacks test-python test-postgres \
	test-postgres-rust test-postgres-python test-web lint lint-rust lint-python web docs bench bench-rust torture wheel wheels install \
	ontologies cli-reference services clean

demo: $(VENV)/.installed-fast  ## Builds the wheel, records a generated flight, replays and checks it.
	$(BIN)/mosaico demo

# Everything CI runs. What compiles runs beside what waits: for pip, for a daemon that was killed. The services start
# once; they are below `make` and not $(MAKE), since --dry-run would start them.
test:
	$(call step,build,$(MAKE) -j2 $(VENV)/.wheel-fast $(VENV)/.tools; $(MAKE) install)
	$(call step,lint and docs,$(MAKE) -j2 lint docs)
	$(call step,tests of the page,$(MAKE) test-web)
	tests/with_services make test-with-services

test-with-services:
	$(call step,Rust tests compile beside attacks,$(MAKE) -j2 test-rust-build test-attacks)
	$(MAKE) test-rust test-python
	$(call step,tests on Postgres,$(MAKE) -j2 test-postgres)

# Unit tests are those in a module `tests`. (`--lib` would build tests of the binding crate, which has none.)
test-fast: install  ## Unit tests, the calls of a client, one recording: for between two edits, under two minutes.
	cargo test $(CARGO_TESTS) --quiet --tests -- tests:: service::
	$(PYTEST) $(PYTEST_WORKERS) python tests/unit tests/integration/test_readme.py::test_readme_records_and_replays

test-rust:
	$(call step,Rust tests,tests/with_services cargo test $(CARGO_TESTS))

test-rust-build:
	cargo test $(CARGO_TESTS) --quiet --no-run

test-attacks: install  ## Each attack of `make torture` for some seconds.
	tests/with_services $(PYTEST) -m attacks

test-python: install
	$(call step,Python tests,tests/with_services $(PYTEST) $(PYTEST_WORKERS) -m "not alone and not attacks")
	$(call step,Python tests that measure,tests/with_services $(PYTEST) -m alone)

# What shows how the catalog answers, once more on Postgres. Rust tests that do not are listed here, by module; what only
# Postgres does is always tested on it, above. Python tests have the marker `catalog`.
NOT_ON_POSTGRES := cluster cluster_late_records cluster_leases cluster_link foreign_files fuzz monitor sparse wire
test-postgres: test-postgres-rust test-postgres-python

test-postgres-rust:
	tests/with_postgres cargo test $(CARGO_TESTS) --test it -- $(NOT_ON_POSTGRES:%=--skip %::)

test-postgres-python: install
	tests/with_postgres $(PYTEST) $(PYTEST_WORKERS) -m "catalog and not sqlite"

# The page of the daemon, in web/. It needs Node; without Node the rest builds and is tested.
NODE := $(shell node --version 2>/dev/null | grep -E '^v(2[0-9]|[3-9][0-9])\.')
WEB_SOURCES := $(shell find web -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/tests/*' -not -path '*/test-results/*')

web: $(if $(NODE),web/dist/index.html)  ## The page that the daemon serves, in web/dist.
	$(if $(NODE),,@echo "the page is not built: it needs Node 20 or newer")

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci --silent
	touch $@

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	cd web && npm run --silent build -- --logLevel warn && node compress.mjs

# Types and lints, logic, behaviour in Chromium. Without Node the tests are left out, except where CI is set.
test-web: web
	$(if $(NODE),web/tests/install_chromium,test -z "$(CI)")
	$(if $(NODE),cd web && npm run --silent check && npm test --silent && npm run --silent e2e)

lint: lint-rust lint-python  ## Formatting, lints, types, stubs.

lint-rust:  # The profile of the build, so that build scripts and macros are compiled once.
	cargo fmt --all --check
	cargo fmt --manifest-path benches/rust/Cargo.toml --check
	cargo clippy --profile fast --quiet --workspace --all-targets -- -D warnings

lint-python: install
	$(BIN)/ruff format --check $(PYTHON_FILES)
	$(BIN)/ruff check $(PYTHON_FILES)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest mosaicolabs._native
	$(BIN)/python tests/check_prose.py

docs: install  ## The documentation in site/; a broken link or reference fails.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(VENV)/.installed-release $(VENV)/.tools  ## Ours beside other ways, both sides in one run; writes BENCHMARKS.md.
	$(BIN)/python benches/run.py --write BENCHMARKS.md

bench-rust:  ## Parts of the path of a row, without Python; names select some: make bench-rust NAMES=merge.
	cp Cargo.lock benches/rust/  # The versions that the wheel has.
	cargo bench --manifest-path benches/rust/Cargo.toml --benches -- $(NAMES)

TORTURE_SECONDS := 1500
torture: $(VENV)/.installed-release $(VENV)/.tools  ## Attacks a daemon in every known way, for 25 minutes; writes the table of the docs.
	$(BIN)/python tests/torture --seconds $(TORTURE_SECONDS) --write docs/reliability.md

ontologies: install  ## What the daemon knows of the data classes, after one has changed.
	$(BIN)/python tests/write_ontologies.py

cli-reference: install  ## The page of all commands, after one has changed.
	$(BIN)/python tests/write_cli_reference.py

services:  ## Installs and builds what the tests run against, where it is missing: Postgres and MinIO.
	tests/with_services true

wheel: $(VENV)/.wheel-release  ## dist/mosaicolabs_native-*.whl

# The linker is zig's, from the package ziglang: it brings the C libraries of other machines and of old distributions.
WHEEL_TARGETS := x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
wheels: $(VENV)/.maturin web  ## Wheels for Linux on x86-64 and ARM64, in dist/, checked in fresh environments.
	$(BIN)/python -m pip install --quiet "ziglang>=0.13"
	rustup target add $(WHEEL_TARGETS)
	rm -rf $(WHEELS_release) $(VENV)/.wheel-release
	for target in $(WHEEL_TARGETS); do \
		$(BIN)/maturin build --profile release --zig --target $$target --compatibility manylinux_2_28 \
			--out $(WHEELS_release); \
	done
	$(PYTHON) tests/try_wheel.py $(WHEELS_release)/*.whl

install: $(VENV)/.installed-fast $(VENV)/.tools  ## The wheel and the tools of the development group, in .venv.

$(VENV)/.maturin: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet "maturin>=1.9.4,<2"
	touch $@

$(VENV)/.tools: $(VENV)/.maturin
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

# The wheel is built again when a source is newer, and installed when it or its profile changed.
WHEELS_release := dist
WHEELS_fast := $(VENV)/wheels

$(VENV)/.wheel-fast $(VENV)/.wheel-release: $(VENV)/.wheel-%: $(VENV)/.maturin $(RUST_SOURCES) $(PYTHON_SOURCES) $(if $(NODE),web/dist/index.html) README.md
	rm -rf $(WHEELS_$*)
	$(BIN)/maturin build --profile $* --quiet --out $(WHEELS_$*) --interpreter $(BIN)/python
	touch $@

$(VENV)/.installed-fast $(VENV)/.installed-release: $(VENV)/.installed-%: $(VENV)/.wheel-%
	rm -f $(VENV)/.installed-*
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps $(WHEELS_$*)/mosaicolabs_native-*.whl
	$(BIN)/python -m pip install --quiet $(WHEELS_$*)/mosaicolabs_native-*.whl
	touch $@

clean:  ## Removes the checkout's products; the shared build folder stays.
	rm -rf $(VENV) dist site web/dist web/node_modules web/test-results .pytest_cache .mypy_cache .ruff_cache .hypothesis
