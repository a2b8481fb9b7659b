# Two commands on a fresh machine: `make demo` and `make test`. Everything else is for those who work on tinfl.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev

.PHONY: demo test lint types imports unit mutants tour soak cluster bench gpu-check constraints clean help

help:
	@echo "make demo       install into .venv and run the embedded experiment"
	@echo "make test       lint, types, import contracts and the whole test suite"
	@echo "make mutants    do the tests notice changed code? A sample (MUTANTS_SEED=1 MUTANTS_SAMPLE=24), most of an hour"
	@echo "make tour       the README's pictures, from the demo's run"
	@echo "make soak       kill and damage sweeps at random for minutes (SOAK_SECONDS=600)"
	@echo "make cluster    longer tests on a real Slurm and a real Ray of two nodes each (as root)"
	@echo "make bench      the measurements that the README quotes"
	@echo "make gpu-check  compare CPU with CUDA and measure a GPU"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(STAMP)

demo: $(STAMP)
	@rm -rf results/demo
	$(BIN)/tinfl demo results/demo

test: lint types imports unit

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

imports: $(DEV)
	$(BIN)/lint-imports

unit: $(DEV)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not gpu and not soak and not cluster"

mutants: $(DEV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,mutants]'
	$(BIN)/python -m benchmarks.mutants --seed $(or $(MUTANTS_SEED),1) --sample $(or $(MUTANTS_SAMPLE),24) \
		--packages $(MUTANTS_PACKAGES)

results/demo: | $(STAMP)
	$(BIN)/tinfl demo $@

results/demo-images: | results/demo
	$(BIN)/tinfl leaks results/demo --init results/images.toml --top 3 --models 900
	$(BIN)/tinfl sweep --foreground results/images.toml

tour: $(STAMP) | results/demo results/demo-images
	$(BIN)/python docs/tour.py results/demo docs/tour --images results/demo-images

soak: $(DEV)
	SOAK_SECONDS=$(or $(SOAK_SECONDS),600) $(BIN)/python -m pytest -m soak -s --timeout 0

cluster: $(DEV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,ray]'
	$(BIN)/python -m pytest -m cluster -n 0 -s --timeout 1200

bench: $(DEV)
	$(BIN)/python -m benchmarks.bench_training
	$(BIN)/python -m benchmarks.bench_influence
	$(BIN)/python -m benchmarks.bench_leaks
	$(BIN)/python -m benchmarks.bench_probes
	$(BIN)/python -m benchmarks.bench_probe_speed
	$(BIN)/python -m benchmarks.bench_runs
	$(BIN)/python -m benchmarks.bench_explore

# Needs only this repository and torch: it runs with whatever Python has them.
gpu-check:
	PYTHONPATH=. $(or $(GPU_PYTHON),$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))) benchmarks/gpu_check.py \
		--output benchmarks/results/gpu-check.json

constraints: $(DEV)
	$(BIN)/python -m pip freeze --exclude-editable | grep -viE '^(pip|setuptools|wheel)==' > constraints.txt

clean:
	rm -rf $(VENV) results .mypy_cache .ruff_cache .pytest_cache
