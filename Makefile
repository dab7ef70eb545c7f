# make demo   trains, compares, saves and streams on data that comes with scikit-learn
# make test   runs every check: style, types, tests, docs (SLOW=1 for the slow tests too)
.PHONY: demo test lint docs clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

demo: $(VENV)/.ready-demo
	$(BIN)/python examples/1_digits.py

test: lint docs
	$(BIN)/python -m pytest -n $(WORKERS) $(if $(SLOW),--slow)

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.ready-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# constraints.txt keeps torch at a CPU build; the package itself admits newer ones
$(VENV)/.ready-demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[train]"
	touch $@

$(VENV)/.ready-test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@ $(VENV)/.ready-demo

clean:
	rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
