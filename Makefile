# make demo: photos of a product in, a LoRA and a report out, offline, on the bundled base.
# make studio: the same on a local web page.
# make test: the whole test suite.   make quick: without its slow tests.   make lint: ruff, mypy, layers.
# make docs: the documentation as a site.   make families: docs/families.md anew, from the tests.
# make lock: requirements-dev.lock anew.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Newer releases bring gigabytes of CUDA packages along; this one has a CPU build.
TORCH := $(if $(shell command -v nvidia-smi 2>/dev/null),torch>=2.10,torch==2.13.0)

IS_NEW_ENOUGH = $(shell $(PYTHON) -c "import sys; print('yes' * (sys.version_info >= (3, 11)))" 2>/dev/null)

.PHONY: demo studio test quick lint docs benchmark families lock clean

demo: $(VENV)/.installed
	$(BIN)/packshot run examples/torvane_ridge --class suv --name "Torvane Ridge" \
	    --plates examples/plates/plates.csv --project demo --time-budget 20m

studio: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable ".[studio]"
	$(BIN)/packshot studio packshot-projects

test: $(VENV)/.dev
	$(BIN)/pytest --numprocesses auto --dist worksteal --durations=10

quick: $(VENV)/.dev
	$(BIN)/pytest --numprocesses auto --dist worksteal -m "not slow"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

benchmark: $(VENV)/.dev
	$(BIN)/python -m benchmarks.training_step

families: $(VENV)/.dev
	$(BIN)/python -m pytest -p tests.table tests/models

# Without torch, and so without CUDA: which build of it is wanted differs from machine to machine.
lock:
	echo torch | uv pip compile pyproject.toml --extra dev --extra docs --universal --upgrade --quiet \
	    --excludes - --custom-compile-command "make lock" --output-file requirements-dev.lock

$(VENV)/.installed: pyproject.toml
	$(if $(IS_NEW_ENOUGH),,$(error needs Python 3.11: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.12))
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable pocket/model --editable ".[demo]"
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable ".[dev]" --editable pocket
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) demo site .mypy_cache .ruff_cache .pytest_cache
