# The vocabulary of this repository:
#
#   make setup   create .venv and install everything into it
#   make run     which shipped images show a QR code, every convolution on the simulated
#                accelerator; make run MODEL=alexnet: one photograph through a network by name
#   make test    run the tests
#   make test-board  the host's tests on a board's software: Python 3.10, NumPy 1.21, pynq
#   make board-env  the environment of the simulated board, and the command that uses it:
#                .venv-board/bin/penstock-sim classify photo.jpg --device pynq-sim
#   make wheel   the package as a file to install, into dist/
#   make test-wheel  that file in an environment of its own, outside the checkout
#   make formal  carry out the proofs of docs/verification.md: make formal PROOFS="FIFO DMA"
#   make coverage  what tests of the host and the core reach: lines of Python, branches of the core,
#                values of descriptor fields
#   make lint    ruff and mypy
#   make bench   the simulated accelerator beside SCALE-Sim, the ideal and what others publish, into
#                docs/benchmarks.md and build/bench.json; needs a network the first time, or
#                BENCH=--without-scalesim
#   make bitstream  a board's bitstream, checked, into build/BOARD: make bitstream BOARD=ulx3s-85f
#   make fuzz    random layers against the golden model: make fuzz N=2000 SEED=1
#   make faults  faults injected into the simulated core: make faults N=5000 SEED=1
#   make soak    inferences one after the other, each as the first: make soak N=1000 SEED=1
#   make mutate  plant single faults in the core and report which ones the tests catch:
#                make mutate N=100 SEED=1, and MUTATE="--module hw/bus/dma.py" for one module
#   make docs    write the generated pages of docs/ and the folder list of CONTRIBUTING.md
#   make docs-site  the documentation as a web site, into build/site: open build/site/index.html
#   make clean   remove .venv and build products

PYTHON ?= python3
MODEL ?= screen
PHOTO ?= models/data/photos/chelsea.jpg
BOARD ?= tang-nano-20k
N ?= 1000
SEED ?= 0
JOBS ?= 2

BIN := .venv/bin
STAMP := .venv/.installed

PROOFS ?=

.PHONY: setup run test test-board board-env wheel test-wheel formal coverage lint bench bitstream fuzz faults soak mutate docs docs-site clean

setup: $(STAMP)

# The stamp is written last: an interrupted installation starts again.
$(STAMP): pyproject.toml
	@command -v g++ >/dev/null || { echo "penstock: g++ is missing: install the package g++ (apt-get install g++)" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "penstock: $(PYTHON) is missing: install the package python3 (apt-get install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "penstock: Python 3.11 or newer is needed, $$($(PYTHON) --version) is too old: make setup PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "penstock: Python's venv is missing: install the package python3-venv (apt-get install python3-venv)" >&2; exit 1; }
	@echo "penstock: installing the environment into .venv (half a minute to two minutes)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: $(STAMP)
ifeq ($(MODEL),screen)
	@$(BIN)/penstock screen models/data/samples models/data/photos --device rtl --check
else
	@$(BIN)/penstock classify $(PHOTO) --model $(MODEL) --device rtl --check
endif

# One thread of BLAS for each of the processes: more would only wait for each other.
test: $(STAMP)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

# What a PYNQ board has; the simulator of the simulated board is built by the first environment.
PYTHON310 ?= $(shell scripts/python310.sh)
BOARD_BIN := .venv-board/bin

.venv-board/.installed: pyproject.toml
	@test -n "$(PYTHON310)" || { echo "penstock: Python 3.10 is missing: make test-board PYTHON310=/path/to/python3.10" >&2; exit 1; }
	@echo "penstock: installing a board's software into .venv-board (one to three minutes)"
	@$(PYTHON310) -m venv .venv-board
	@$(BOARD_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[board]'
	@touch $@

# The command penstock with the devices pynq and pynq-sim: .venv-board/bin/penstock-sim.
board-env: $(STAMP) .venv-board/.installed
	@printf '#!/bin/sh\nPENSTOCK_SIM_PYTHON="%s" exec "%s/penstock" "$$@"\n' "$(abspath $(BIN)/python)" "$(abspath $(BOARD_BIN))" > $(BOARD_BIN)/penstock-sim
	@chmod +x $(BOARD_BIN)/penstock-sim
	@echo "penstock: $(BOARD_BIN)/penstock-sim classify $(PHOTO) --model tiny --device pynq-sim"

test-board: $(STAMP) .venv-board/.installed
	OPENBLAS_NUM_THREADS=1 PENSTOCK_SIM_PYTHON=$(abspath $(BIN)/python) $(BOARD_BIN)/python -m pytest -q @tests/board/modules

# setuptools puts what it builds beside the sources; nothing old may get into the wheel.
wheel: $(STAMP)
	@rm -rf build/lib build/bdist.* dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@rm -rf build/lib build/bdist.*
	@ls dist/*.whl

test-wheel: wheel
	@$(BIN)/python -m tests.wheel.check dist/*.whl .venv-wheel

formal: $(STAMP)
	@$(BIN)/python -m penstock.sim.formal --jobs $(JOBS) $(PROOFS)

# What tests of the host and of the whole core reach, those that take long left out.  Blocks are the
# business of their own tests and of the proofs.
COVERED := tests/models tests/host $(addprefix tests/system/test_,faults.py fuzz.py integrity.py order.py)

coverage: export PENSTOCK_FUZZ = 60
coverage: export PENSTOCK_FAULTS = 100
coverage: export OPENBLAS_NUM_THREADS = 1
coverage: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal --measure --cov=models --cov=host \
		--cov-report=term:skip-covered $(COVERED)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/python -m penstock.sim.library.package_links . build/package
	MYPYPATH=build/package $(BIN)/mypy

bench: $(STAMP)
	@$(BIN)/python scripts/bench.py $(BENCH)

bitstream: $(STAMP)
	@$(BIN)/penstock bitstream --board $(BOARD)

fuzz: $(STAMP)
	PENSTOCK_FUZZ=$(N) PENSTOCK_SEED=$(SEED) $(BIN)/python -m pytest -q -n $(JOBS) tests/system/test_fuzz.py

faults: $(STAMP)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.support.faults $(N) $(SEED)

soak: $(STAMP)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.support.soak $(N) $(SEED)

mutate: N = 100
mutate: SEED = 1
mutate: $(STAMP)
	@$(BIN)/python scripts/mutate.py --count $(N) --seed $(SEED) --jobs $(JOBS) $(MUTATE)

docs: $(STAMP)
	$(BIN)/python -m scripts.tables

# Warnings are errors: a link to nowhere, a page that no menu shows, a docstring that does not parse.
docs-site: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q -j $(JOBS) -d build/site-cache docs build/site
	@echo "penstock: open build/site/index.html"

clean:
	rm -rf .venv .venv-board .venv-wheel build dist .coverage* *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
