# borderflow: `make run` shows the whole system, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(wildcard csrc/src/*.c csrc/src/*.h csrc/include/*.h)
STRICT := -std=c11 -Wall -Wextra -Werror -Wconversion -Wshadow -Wdouble-promotion -ffp-contract=off

.PHONY: help setup system run test test-brokers check bench accuracy fuzz clean

help:
	@echo "make run       the whole system with a simulated crossing; Ctrl-C ends it"
	@echo "make test      all tests"
	@echo "make test-brokers  with RabbitMQ and a NATS cluster (installs them)"
	@echo "make check     linters, types, C warnings as errors"
	@echo "make accuracy  errors of simulated weighings, regime by regime"
	@echo "make waits-accuracy  errors of waits against simulated days, row by row of sensors"
	@echo "make bench     speed of the core, replay, waits, journal and the whole daemon"

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml setup.py csrc/build_cffi.py $(CORE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[dev]'
	touch $@

system:
	@sh tests/system_packages.sh

run: setup
	$(BIN)/borderflow demo

test: setup system
	$(BIN)/python -m pytest

test-brokers: setup
	@sh tests/system_packages.sh rabbitmq-server nats-server
	BORDERFLOW_BROKERS=1 $(BIN)/python -m pytest tests/brokers

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for file in csrc/src/*.c; do gcc $(STRICT) -Icsrc/include -fsyntax-only $$file || exit 1; done

bench: setup
	$(BIN)/python -m tests.bench.bench_core
	$(BIN)/python -m tests.bench.bench_waits
	$(BIN)/python tests/bench/bench_journal.py
	$(BIN)/python tests/bench/bench_codecs.py
	$(BIN)/python tests/bench/bench_system.py

accuracy: setup
	$(BIN)/python -m tests.accuracy.sweep --factors

waits-accuracy: setup
	$(BIN)/python -m tests.waits.score 1 2 3

fuzz: FUZZ_SECONDS ?= 3600
fuzz:
	mkdir -p build/fuzz/corpus
	clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -Icsrc/include -Icsrc/src \
	    csrc/fuzz/fuzz_wim.c csrc/src/*.c -lm -o build/fuzz/fuzz_wim
	cd build/fuzz && ./fuzz_wim -max_len=4096 -max_total_time=$(FUZZ_SECONDS) corpus

clean:
	rm -rf build out edge/_core*.so edge/_core.c
