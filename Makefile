# Each target first sets up .venv if necessary. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS ?= cpu,dev
DEMO := demo-$(shell date +%Y%m%d-%H%M%S)
MINUTES ?= 7
SEED ?= 0

.PHONY: help setup demo test test-faults check bench bench-train clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         set up, then improve a bin-packing heuristic with a real model on the CPU"
	@echo "make test         set up, then run all tests"
	@echo "make test-faults  the long tests of failures: nodes, databases, disks"
	@echo "make setup        create .venv with all dependencies for a CPU"
	@echo "make check        ruff, mypy, import layers"
	@echo "make bench        the benchmarks that need no model"
	@echo "make bench-train  the training benchmark"

setup: .venv/.ready

.venv/.ready: pyproject.toml tools/setup.sh
	PYTHON="$(PYTHON)" EXTRAS="$(EXTRAS)" bash tools/setup.sh
	@touch $@

demo: setup
	$(BIN)/funsearch run bin_packing --name $(DEMO) --minutes $(MINUTES) --seed $(SEED) --islands 4 \
	  --set database.cluster_temperature=0.3 --set database.reset_period=1500
	$(BIN)/funsearch best $(DEMO) --select 30 --heldout --baselines

test: setup
	$(BIN)/python -m pytest -n 2 -m "not model and not gpu and not docker and not faults"
	$(BIN)/python -m pytest -m model

test-faults: setup
	$(BIN)/python -m pytest -m faults --durations=20

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

bench: setup
	$(BIN)/python -m benchmarks.database
	$(BIN)/python -m benchmarks.sandbox
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.ui

bench-train: setup
	$(BIN)/python -m benchmarks.training

clean:
	rm -rf .venv build *.egg-info
