# make demo: photos of a product in, a LoRA and a report out, offline, on the bundled base.
# make test: the whole test suite.   make lint: ruff and mypy.
# make families: docs/families.md anew, from the tests of the families.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Newer releases bring gigabytes of CUDA packages along; this one has a CPU build.
TORCH := $(if $(shell command -v nvidia-smi 2>/dev/null),torch>=2.10,torch==2.13.0)

.PHONY: demo test lint benchmark families clean

demo: $(VENV)/.installed
	$(BIN)/packshot run examples/torvane_ridge --class suv --name "Torvane Ridge" \
	    --project demo --budget 5m

test: $(VENV)/.dev
	$(BIN)/pytest --numprocesses auto --durations=5

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: $(VENV)/.dev
	$(BIN)/python -m benchmarks.training_step

families: $(VENV)/.dev
	$(BIN)/python -m pytest -p tests.table tests/bases

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache
