# Two commands on a fresh machine: `make demo` and `make test`. Everything else is for those who work on tinfl.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev
MUTANTS := $(VENV)/.installed-mutants
DOCS   := $(VENV)/.installed-docs
PIP    := PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts
# Beside a Pillow that its metadata do not allow: pyproject.toml says why.
TERM_IMAGE := $(PIP) --no-deps term-image

# Of `make gpu-check`: the interpreter that has torch, its version, and where what it lacks is installed.
GPU_RUN            = $(or $(GPU_PYTHON),$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)))
GPU_PYTHON_VERSION ?= 3.12
GPU_PACKAGES       := build/gpu-packages

.PHONY: demo test test-tools lint types imports unit mutants tour cli-reference docs soak cluster bench reference gpu-wheels gpu-check constraints clean help

help:
	@echo "make demo       install into .venv and run the embedded experiment"
	@echo "make test       lint, types, import contracts and the whole test suite"
	@echo "make test-tools install the tools of 'make mutants', whose own tests are left out without them"
	@echo "make mutants    do the tests notice changed code? A sample (MUTANTS_SEED=1 MUTANTS_SAMPLE=24), most of an hour"
	@echo "make tour       the pictures of README and guide, from the demo's run"
	@echo "make cli-reference  docs/cli.md, from the help texts"
	@echo "make docs       the documentation as a site, in build/site"
	@echo "make soak       bad luck of all kinds, at random, for minutes (SOAK_SECONDS=600 SOAK_SEED=1)"
	@echo "make cluster    longer tests on a real Slurm and a real Ray of two nodes each (as root)"
	@echo "make bench      the measurements that the README quotes"
	@echo "make reference  the arrays of many models in benchmarks/reference: ten minutes of CPU, continues if stopped"
	@echo "make gpu-check  compare CPU with CUDA and measure a GPU (GPU_OPTIONS='--device cpu --quick')"
	@echo "make gpu-wheels fetch what gpu-check needs on a machine without network"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[term-image]'
	$(TERM_IMAGE)
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev,term-image]'
	$(TERM_IMAGE)
	@touch $@ $(STAMP)

$(DOCS): docs/requirements.txt $(STAMP)
	$(PIP) -r docs/requirements.txt
	@touch $@

$(MUTANTS): benchmarks/mutants/requirements.txt $(DEV)
	$(PIP) -r benchmarks/mutants/requirements.txt
	@touch $@

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
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not gpu and not cluster"

# What a few tests need besides what `make test` installs: the tools of `make mutants`.
test-tools: $(MUTANTS)

mutants: $(MUTANTS)
	$(BIN)/python -m benchmarks.mutants --seed $(or $(MUTANTS_SEED),1) --sample $(or $(MUTANTS_SAMPLE),24) \
		--packages $(MUTANTS_PACKAGES)

results/demo: | $(STAMP)
	$(BIN)/tinfl demo $@

results/demo-images: | results/demo
	$(BIN)/tinfl leaks results/demo --init results/images.toml --top 3 --models 900
	$(BIN)/tinfl sweep --foreground results/images.toml

tour: $(STAMP) | results/demo results/demo-images
	$(BIN)/python docs/tour.py results/demo docs/tour --images results/demo-images

cli-reference: $(STAMP)
	$(BIN)/python docs/cli_reference.py docs/cli.md

docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean
	@echo "build/site/index.html"

soak: $(DEV)
	$(BIN)/python -m tests.soak --seconds $(or $(SOAK_SECONDS),600) --seed $(or $(SOAK_SEED),1)

cluster: $(DEV)
	$(PIP) -e '.[dev,ray,term-image]'
	$(BIN)/python -m pytest -m cluster -n 0 -s --timeout 1200

bench: $(DEV)
	$(BIN)/python -m benchmarks.bench_packing
	$(BIN)/python -m benchmarks.bench_training
	$(BIN)/python -m benchmarks.bench_streaming
	$(BIN)/python -m benchmarks.bench_influence
	$(BIN)/python -m benchmarks.bench_leaks
	$(BIN)/python -m benchmarks.bench_probes
	$(BIN)/python -m benchmarks.bench_probe_speed
	$(BIN)/python -m benchmarks.bench_runs
	$(BIN)/python -m benchmarks.bench_explore

reference: $(DEV)
	$(BIN)/python -m benchmarks.reference_sweep

# For a machine that has torch and torchvision, and neither the network nor our other packages: fetch them here, take
# gpu-wheels/ along, and `make gpu-check` there puts them on the path, in a directory of their own.
gpu-wheels:
	rm -rf gpu-wheels
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m pip download --quiet --disable-pip-version-check --no-deps \
		--only-binary :all: --implementation cp --python-version $(GPU_PYTHON_VERSION) \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		--constraint constraints.txt --requirement benchmarks/gpu_requirements.txt --dest gpu-wheels
	@du -sh gpu-wheels

# The result is written to benchmarks/results, and to $OUT where that names a directory.
gpu-check:
	@PYTHONPATH=$(GPU_PACKAGES) $(GPU_RUN) -c 'import psutil, pydantic, platformdirs, pynvml, safetensors, typer' 2>/dev/null || \
		$(GPU_RUN) -m pip install --quiet --disable-pip-version-check --no-index --no-deps --upgrade \
			--find-links gpu-wheels --requirement benchmarks/gpu_requirements.txt --target $(GPU_PACKAGES) || \
		{ echo "gpu-check: packages are missing; 'make gpu-wheels' fetches them where there is a network" >&2; exit 1; }
	PYTHONPATH=.:$(GPU_PACKAGES) $(GPU_RUN) benchmarks/gpu_check.py \
		--output benchmarks/results/gpu-check.json $(if $(OUT),--output "$(OUT)/gpu-check.json") $(GPU_OPTIONS)

constraints: $(DEV)
	$(PIP) -e '.[dev,ray,term-image]'
	$(BIN)/python -m pip freeze --all --exclude-editable | grep -viE '^(pip|wheel)==' > constraints.txt

clean:
	rm -rf $(VENV) results .mypy_cache .ruff_cache .pytest_cache
