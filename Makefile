# make demo   trains, compares, saves and streams on data that comes with scikit-learn
# make test   runs every check: style, types, tests, docs (SLOW=1 for the slow tests too)
.PHONY: demo test lint docs clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

demo: $(VENV)/.ready-demo
	$(BIN)/python examples/1_digits.py

test: lint docs node_modules/.ready
	REKUR_SITE=site $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(if $(SLOW),--slow)

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

# ONNX Runtime for JavaScript, that the runners of exports are tested with; without npm those tests are skipped
node_modules/.ready:
	mkdir -p node_modules
	if command -v npm > /dev/null; then npm install --prefix . --no-save --no-package-lock --ignore-scripts --silent \
	  onnxruntime-node@1.30 onnxruntime-web@1.30 && touch $@ || echo "npm install failed: tests of run.mjs are skipped"; fi

clean:
	rm -rf node_modules $(VENV) site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
