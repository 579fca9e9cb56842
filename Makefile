# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: demo test check format bench fuzz audit clean

demo: $(VENV)/installed
	@$(BIN)/python -m extract demo

test: check
	$(BIN)/python -m pytest

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# `make bench ARGS=--quick` to see that it works; each peer gets an environment of its own below .bench/
bench: $(VENV)/installed-dev
	$(BIN)/python -m evals.benchmarks $(ARGS)

fuzz: $(VENV)/installed-dev
	$(BIN)/python -m extract.tests.fuzz --seconds 300

# the tools have a venv of their own, so that they are not among what they look at
audit: $(VENV)-audit/installed
	$(VENV)-audit/bin/bandit -q -c pyproject.toml -r schemas extract evals
	@$(VENV)-audit/bin/python .ci/audit.py $(VENV)-audit/bin/pip-audit

clean:
	rm -rf $(VENV) $(VENV)-audit .bench .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Verbatim needs Python 3.11 or newer. Name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing (about half a minute, once) ..."
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing (about half a minute, once) ..."
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $(VENV)/installed $@

$(VENV)-audit/installed: | $(VENV)/bin/python
	@$(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/python -m pip --disable-pip-version-check -q install 'bandit>=1.9,<2' 'pip-audit>=2.9,<3'
	@touch $@
# with Ray (600 MB), so that the tests of the cluster run too
$(VENV)/installed-cluster: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing (about a minute, once) ..."
	@$(PIP) install -c constraints.txt -e '.[dev,cluster]'
	@touch $(VENV)/installed $(VENV)/installed-dev $@
