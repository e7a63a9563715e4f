# Commands for a machine with Python 3.11, 3.12 or 3.13 and make:
#   make demo    paints the six example pieces
#   make test    checks and tests everything
#   make matrix  installs the wheel on each of these Pythons and paints
# Each creates .venv if needed; a second run installs nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A stamp file records that the environment was installed from these versions.
CORE := $(VENV)/core.stamp
DEV := $(VENV)/dev.stamp
# Processes of pytest; give another number for another machine: make test PROCESSES=8
PROCESSES ?= 2
SOURCES := $(shell find clavilux -type f -not -path '*/__pycache__/*')

# The tests start hundreds of processes of Python, each of which would compile again what it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint matrix clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: $(CORE)  ## paint the example pieces into paintings/
	@$(BIN)/python -c "import clavilux, PIL, av, click, numpy, onnxruntime" 2> /dev/null || { echo "The environment in $(VENV) is damaged: run make clean, which also removes paintings/, or delete $(VENV)"; exit 1; }
	$(BIN)/python -m clavilux paint examples -o paintings
	@echo "The pictures are in $(CURDIR)/paintings. For a song of yours: $(BIN)/python -m clavilux paint SONG"

test: lint  ## check style and types, then run the tests
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

lint: $(DEV)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

matrix: $(DEV)  ## install and paint on each Python found, with the newest and the lowest versions
	$(BIN)/python benchmarks/install_matrix.py

clean:  ## remove the environment, the paintings and all caches
	rm -rf $(VENV) paintings dist build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed and $(PYTHON) is %d.%d; name another one: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "If a part of Python is missing, on Debian and Ubuntu: apt install python3-venv"; exit 1; }

# pip must not install into another environment, which it does if the files of this one were removed in part.
IN_VENV := $(BIN)/python -c 'import sys; sys.exit("the environment in $(VENV) is damaged; delete this folder" if sys.prefix == sys.base_prefix else None)'

# The environment of the tests can paint too, so the demo does not change it.
$(CORE): constraints.txt pyproject.toml $(SOURCES) | $(BIN)/python
	@$(IN_VENV)
	test -e $(DEV) || $(BIN)/python -m pip install --quiet -c constraints.txt .
	@touch $@

$(DEV): constraints.txt pyproject.toml | $(BIN)/python
	@$(IN_VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[train,eval,cluster,tags,vector,dev]"
	@touch $@
