# Every target sets up what it needs, and can be run again.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
STEP   := @sh .ci/step

# cython-lint looks for pycodestyle on PATH.
export PATH := $(abspath $(BIN)):$(PATH)

# An archive's fault costs the boards that need what it lacks, and no others.
GO_ON := [ $$? = 13 ]

.PHONY: help demo test test-arm check bench fuzz sanitize golden wheel wheels boards instructions emulate clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/demo.stamp ## train a fleet of eight device processes on this machine
	$(BIN)/fedge demo $(ARGS)

test: $(VENV)/dev.stamp ## run the tests, except those of test-arm
	$(BIN)/python -m pytest -m "not emulated" --numprocesses auto --maxprocesses 4 -p no:benchmark $(ARGS)

test-arm: $(VENV)/dev.stamp ## run the tests that need cross compilers or QEMU
	$(BIN)/python -m pytest -m emulated $(ARGS)

check: $(VENV)/dev.stamp ## format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cython-lint fedge/_kernels

bench: $(VENV)/dev.stamp ## time codecs and training next to their peers
	$(BIN)/python -m pytest benchmarks --benchmark-only $(ARGS)

fuzz: $(VENV)/dev.stamp ## coverage-guided fuzzing of every parser
	$(BIN)/python -m tests.fuzz.run $(ARGS)

sanitize: $(VENV)/dev.stamp ## the same, unguided, against kernels built with sanitizers
	$(BIN)/python -m tests.fuzz.sanitize $(ARGS)

golden: $(VENV)/dev.stamp ## rewrite the golden files and generated pages; review the change like an interface
	$(BIN)/python -m tests.golden.make
	$(BIN)/python -m tests.docs.operators
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m tests.fuzz.make

wheel: $(VENV)/dev.stamp ## build the wheel and the source distribution into dist/
	$(BIN)/python -m build --outdir dist .

wheels: $(VENV)/dev.stamp ## cross-build wheels for the boards into dist/ and inspect them
	$(BIN)/python -m firmware_sim build $(ARGS)

boards: $(VENV)/dev.stamp ## fetch and build everything the emulated boards need, once
	$(BIN)/python -m firmware_sim fetch $(ARGS) || $(GO_ON)
	$(BIN)/python -m firmware_sim build || $(GO_ON)

instructions: $(VENV)/dev.stamp ## count the instructions of the kernels on ARM processors
	$(BIN)/python -m firmware_sim bench $(ARGS)

emulate: boards ## everything on emulated boards, including what takes long: fleets, faults, counts
	$(BIN)/python -m firmware_sim fetch --kernels || $(GO_ON)
	$(BIN)/python -m firmware_sim bench --check
	$(BIN)/python -m pytest tests/emulated --long --durations 0 $(ARGS)

clean: ## remove what was built, keep your runs
	rm -rf $(VENV) build dist *.egg-info fedge/_kernels/*.so

# A change to the build settings or a kernel installs again; Python changes need nothing.
SOURCES := pyproject.toml setup.py $(wildcard fedge/_kernels/*.pyx fedge/_kernels/*.pxd fedge/_kernels/*.h)

$(VENV)/demo.stamp: $(VENV)/base.stamp $(SOURCES)
	$(STEP) "[2/2] packages for the demo, and compiling our kernels" $(PIP) install --editable '.[demo]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/base.stamp $(SOURCES)
	$(STEP) "[2/2] packages for the tests, and compiling our kernels" $(PIP) install --editable '.[dev]'
	@touch $@

$(VENV)/base.stamp:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed: sudo apt install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V): set PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: the venv module is not installed: sudo apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' || { echo "make: the Python headers are not installed: sudo apt install python3-dev" >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null || command -v gcc >/dev/null || { echo "make: no C compiler: sudo apt install gcc" >&2; exit 1; }
	$(STEP) "[1/2] virtual environment in $(VENV)" $(PYTHON) -m venv $(VENV)
	@touch $@
