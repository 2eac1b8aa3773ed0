# borderflow: `make run` shows the whole system, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup run test check clean

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml setup.py csrc/build_cffi.py $(wildcard csrc/src/*.c csrc/src/*.h csrc/include/*.h)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[dev]'
	touch $@

run: setup
	$(BIN)/borderflow demo

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf build out edge/_core*.so edge/_core.c
