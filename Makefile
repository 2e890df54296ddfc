# make demo      a capture is made and analysed: see what spanline says
# make test      everything CI runs: linters, types, C headers alone, tests on the built wheel
# make sanitize  the tests on a core built with ASan and UBSan
# make bench     the benchmarks
# make compare   spanline beside other programs: writes benchmarks/RESULTS.md; a small look with COMPARE_ARGS=--quick
# make clean     away with everything that make made

PYTHON ?= python3
PYTEST_ARGS ?= -n 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO := build/demo
# Folders are named too, so that a file taken away is noticed.
SOURCES := setup.py pyproject.toml MANIFEST.in README.md LICENSE \
	$(shell find ext src -name __pycache__ -prune -o -name '*.egg-info' -prune -o -name '*.so' -o -name '*.c' -o -name '.*' -o -print)
C_FLAGS := -std=c11 -Wall -Wextra -Wconversion -Werror -Iext -fsyntax-only -x c
# What builds the wheel stays in the venv: in an isolated build Cython would see itself as new, and recompile each time.
BUILD_REQUIRES := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
WHEEL = $$(ls build/wheel/spanline-*.whl)

.PHONY: demo test lint types headers pytest sanitize bench compare clean
.DELETE_ON_ERROR:

test: lint types headers pytest

# --- build and install: each step leaves a stamp and runs again only when its sources changed

$(VENV)/made.stamp:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -c '$(BUILD_REQUIRES)' > $(VENV)/build-requires.txt
	$(PIP) install -r $(VENV)/build-requires.txt
	touch $@

build/wheel.stamp: $(SOURCES) | $(VENV)/made.stamp
	rm -rf build/wheel
	mkdir -p build
	find build -path 'build/lib*' -type f ! -name '*.so' -delete
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir build/wheel .
	touch $@

$(VENV)/installed.stamp: build/wheel.stamp
	$(PIP) install --force-reinstall --no-deps $(WHEEL)
	$(PIP) install $(WHEEL)
	touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/installed.stamp
	$(PIP) install "$(WHEEL)[all,dev]"
	touch $@

# --- see it

$(DEMO)/demo.pcap: $(wildcard benchmarks/*.py) | $(VENV)/installed.stamp
	mkdir -p $(DEMO)
	$(BIN)/python benchmarks/demo.py $@

demo: $(DEMO)/demo.pcap $(VENV)/installed.stamp
	$(BIN)/spanline flows $< -n 20
	$(BIN)/spanline rtt $<
	$(BIN)/spanline crunch $< -o $(DEMO)/flows.parquet

# --- test it

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	PATH="$(BIN):$$PATH" cython-lint ext

types: $(VENV)/dev.stamp
	$(BIN)/mypy

# Each header must stand alone, in every compiler at hand.
headers:
	@for compiler in gcc clang; do \
		command -v $$compiler >/dev/null || continue; \
		for header in ext/*.h; do \
			echo "#include \"$${header#ext/}\"" | $$compiler $(C_FLAGS) - || { echo "$$compiler: $$header"; exit 1; }; \
		done; \
		echo "$$compiler: every header compiles alone"; \
	done

pytest: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -p no:benchmark $(PYTEST_ARGS)

# The tests on a core built with AddressSanitizer and UndefinedBehaviorSanitizer.
sanitize: $(VENV)/dev.stamp
	rm -rf build/sanitize/site
	SPANLINE_SANITIZE=1 $(PIP) install --no-deps --no-build-isolation --target build/sanitize/site .
	PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONPATH=build/sanitize/site \
		LD_PRELOAD=$$(gcc -print-file-name=libasan.so) $(BIN)/python -m pytest -p no:benchmark -p no:xdist --capture=sys

bench: $(VENV)/dev.stamp
	$(BIN)/python -m pytest benchmarks --benchmark-only $(BENCH_ARGS)

compare: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/compare.py $(COMPARE_ARGS)

clean:
	rm -rf $(VENV) build dist ext/*.c src/*.egg-info src/spanline/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
