# make demo      captures and two weeks of flows are made and analysed: see what spanline says
# make pictures  docs/flow-queries.md and docs/pictures are made anew, of the flows of make demo
# make test      everything CI runs: linters, types, C headers alone, tests on the built wheel, a little fuzzing, instruction counts
# make sanitize  the tests on a core built with ASan and UBSan
# make fuzz      every fuzz target for an hour; FUZZ_SECONDS=, FUZZ_RUNS= and FUZZ_TARGETS="decode flows" change that
# make instructions         fixed jobs take no more instructions than expected.json says
# make instructions-accept  what they take today is what is expected from now on
# make bench     the benchmarks
# make compare   spanline beside other programs: writes benchmarks/RESULTS.md; a small look with COMPARE_ARGS=--quick
# make compare-views  views and fields beside tshark: writes benchmarks/VIEWS.md; VIEWS_ARGS="--packets 100000" is a small look
# make compare-queries  the 19 queries beside SQL by hand: writes benchmarks/QUERIES.md; STORE_FLOWS=10000000 is a smaller look
# make matching  how fast beginnings of conversations are searched for all patterns, and which patterns cost most
# make compare-plaintext  findings beside everything else and beside tshark's credentials: writes benchmarks/PLAINTEXT.md
# make compare-live  live capture beside tcpdump and dumpcap: writes benchmarks/LIVE.md; LIVE_ARGS=--quick is a small look. Root, Linux
# make soak      what live capture and the store hold out, each part many times: some 90 minutes; SOAK_RUNS=, SOAK_MINUTES=, SOAK_KILLS= and SOAK_ARGS="identity memory" change that
# make clean     away with everything that make made

PYTHON ?= python3
# Four at a time on two cores: many tests wait for programs and networks.
PYTEST_ARGS ?= -n 4 --dist worksteal
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO := build/demo
# Folders are named too, so that a file taken away is noticed.
SOURCES := setup.py pyproject.toml MANIFEST.in README.md LICENSE \
	$(shell find ext src packaging -name __pycache__ -prune -o -name '*.egg-info' -prune -o -name '*.so' -o -name '*.c' -o -name '.*' -o -print)
C_FLAGS := -std=c11 -Wall -Wextra -Wconversion -Werror -Iext -fsyntax-only -x c
# What builds the wheel stays in the venv: in an isolated build Cython would see itself as new, and recompile each time.
BUILD_REQUIRES := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
WHEEL = $$(ls build/wheel/spanline-*.whl)

.PHONY: demo pictures test lint types headers pytest sanitize fuzz fuzz-short instructions instructions-accept bench compare compare-views compare-queries matching compare-plaintext compare-live soak clean
.DELETE_ON_ERROR:

# What takes a core each goes side by side; timings do not matter here.
test:
	$(MAKE) --no-print-directory $(VENV)/dev.stamp
	$(MAKE) --no-print-directory -j2 lint types headers
	$(MAKE) --no-print-directory pytest
	$(MAKE) --no-print-directory -j2 fuzz-short instructions

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

$(DEMO)/azure.cap: $(wildcard benchmarks/*.py) | $(VENV)/installed.stamp
	mkdir -p $(DEMO)
	$(BIN)/python benchmarks/demo_azure.py $@

$(DEMO)/oci.pcap: $(wildcard benchmarks/*.py) | $(VENV)/installed.stamp
	mkdir -p $(DEMO)
	$(BIN)/python benchmarks/demo_oci.py $@

$(DEMO)/oci-ingress.pcap: $(wildcard benchmarks/*.py) | $(VENV)/installed.stamp
	mkdir -p $(DEMO)
	$(BIN)/python benchmarks/demo_oci.py --ingress $@

# Two weeks of flows, and the inventory of those who talk.
$(DEMO)/history.yaml: $(wildcard benchmarks/history*.py) $(VENV)/installed.stamp
	rm -rf $(DEMO)/history
	$(BIN)/python benchmarks/history.py $(DEMO)/history

$(DEMO)/policy.toml: Makefile
	mkdir -p $(DEMO)
	printf '[unwanted]\nbittorrent = "file sharing"\ntelnet = "clear text"\n' > $@

# Exit code 1 says that the policy found something, as it should.
demo: $(DEMO)/demo.pcap $(DEMO)/azure.cap $(DEMO)/oci.pcap $(DEMO)/oci-ingress.pcap $(DEMO)/history.yaml $(DEMO)/policy.toml $(VENV)/installed.stamp
	$(BIN)/spanline flows $(DEMO)/demo.pcap -n 8
	$(BIN)/spanline rtt $(DEMO)/azure.cap
	$(BIN)/spanline stats hierarchy $(DEMO)/azure.cap --policy $(DEMO)/policy.toml || test $$? -eq 1
	$(BIN)/spanline stats destinations $(DEMO)/azure.cap -n 8
	$(BIN)/spanline packets $(DEMO)/azure.cap -Y rdp
	$(BIN)/spanline plaintext $(DEMO)/oci.pcap
	$(BIN)/spanline follow $(DEMO)/oci.pcap --telnet
	$(BIN)/spanline crunch $(DEMO)/demo.pcap -o $(DEMO)/flows.parquet
	$(BIN)/spanline query "flows where Flow Type = 'Source is Internet' and Port in ('22', '23', '3389') group by Source Country" --store $(DEMO)/history --inventory $(DEMO)/history.yaml

pictures: demo $(VENV)/dev.stamp
	$(BIN)/python benchmarks/flow_query_page.py $(DEMO)

# --- test it

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	PATH="$(BIN):$$PATH" cython-lint ext

types: $(VENV)/dev.stamp
	$(BIN)/mypy

# Each header must stand alone, in every compiler at hand; the last one compiles for Windows.
headers:
	@for compiler in gcc clang x86_64-w64-mingw32-gcc; do \
		command -v $$compiler >/dev/null || { echo "no $$compiler: nothing is compiled with it"; test -z "$(CI)" || exit 1; continue; }; \
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

# --- fuzz it: every tests/fuzz/*.c is a target, except what replays inputs without libFuzzer

FUZZ_TARGETS ?= $(filter-out replay,$(basename $(notdir $(wildcard tests/fuzz/*.c))))
FUZZ_SECONDS ?= 3600
FUZZ_RUNS ?= -1
FUZZ_SANITIZE ?= address,undefined
FUZZ_CAPTURES ?= ../shared/captures
# Longer inputs find no more, and memory that is used again at once makes for some times as many runs a second.
FUZZ_LENGTH ?= 1024
FUZZ_OPTIONS := ASAN_OPTIONS=quarantine_size_mb=1:malloc_context_size=4:allocator_release_to_os_interval_ms=-1
comma := ,
FUZZ_PROGRAM := fuzz$(patsubst %,-%,$(subst $(comma),-,$(FUZZ_SANITIZE)))
FUZZ_FLAGS := $(filter-out -fsyntax-only -x c,$(C_FLAGS)) -g -O1 -fno-omit-frame-pointer \
	-fsanitize=fuzzer$(FUZZ_SANITIZE:%=$(comma)%) -fno-sanitize-recover=all

build/fuzz/%/$(FUZZ_PROGRAM): tests/fuzz/%.c $(wildcard tests/fuzz/*.h ext/*.h) build/fuzz/application_tables.h
	mkdir -p $(@D)/corpus $(@D)/found
	clang $(FUZZ_FLAGS) -Ibuild/fuzz $< -o $@

build/fuzz/application_tables.h: tests/fuzz/application_tables.py $(wildcard src/spanline/protocols/*.py) | $(VENV)/dev.stamp
	$(BIN)/python -m tests.fuzz.application_tables $@

build/fuzz/seeds.stamp: $(wildcard tests/fuzz/*.py tests/fuzz/*.[ch] tests/craft*.py benchmarks/traffic*.py) | $(VENV)/dev.stamp
	PYTHONPATH=benchmarks $(BIN)/python -m tests.fuzz.seeds build/fuzz --captures $(FUZZ_CAPTURES)
	touch $@

# What a target finds out grows in build/fuzz/<target>/corpus; an input that breaks it is kept in build/fuzz/<target>/found.
$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: build/fuzz/%/$(FUZZ_PROGRAM) build/fuzz/seeds.stamp
	cd build/fuzz/$* && $(FUZZ_OPTIONS) ./$(FUZZ_PROGRAM) -max_total_time=$(FUZZ_SECONDS) -runs=$(FUZZ_RUNS) \
		-max_len=$(FUZZ_LENGTH) -timeout=60 \
		-artifact_prefix=found/ -print_final_stats=1 corpus seeds $(addprefix ../../../,$(wildcard tests/fuzz/crashes/$*)) >log.txt 2>&1 \
		|| { tail -n 60 log.txt; echo "$*: see build/fuzz/$*/log.txt, and CONTRIBUTING.md on how to replay it"; exit 1; }
	@echo "$*: $$(grep -E '^Done ' build/fuzz/$*/log.txt)"

fuzz: $(FUZZ_TARGETS:%=fuzz-%)

fuzz-short:
	@if command -v clang >/dev/null; then $(MAKE) --no-print-directory fuzz FUZZ_SECONDS=5; \
	else echo "no clang: nothing is fuzzed"; test -z "$(CI)"; fi

# --- how much work the core does, counted and not timed

instructions instructions-accept:
	@if command -v valgrind >/dev/null && command -v gcc >/dev/null; then \
		$(PYTHON) benchmarks/instructions/count.py $(if $(filter %accept,$@),--accept); \
	else echo "no valgrind or no gcc: nothing is counted"; test -z "$(CI)"; fi

bench: $(VENV)/dev.stamp
	$(BIN)/python -m pytest benchmarks --benchmark-only $(BENCH_ARGS)

compare: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/compare.py $(COMPARE_ARGS)

compare-views: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/views.py $(VIEWS_ARGS)

matching: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/matching.py $(MATCHING_ARGS)

compare-plaintext: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/plaintext.py $(PLAINTEXT_ARGS)

# Their networks, and the programs around them, are those of the tests.
compare-live: $(VENV)/dev.stamp
	PYTHONPATH=. $(BIN)/python benchmarks/live.py $(LIVE_ARGS)

SOAK_RUNS ?= 100
SOAK_MINUTES ?= 30
SOAK_KILLS ?= 200
soak: $(VENV)/dev.stamp
	PYTHONPATH=. $(BIN)/python benchmarks/soak.py --runs $(SOAK_RUNS) --minutes $(SOAK_MINUTES) $(SOAK_ARGS)
	SPANLINE_KILLS=$(SOAK_KILLS) $(BIN)/python -m pytest -p no:benchmark tests/test_store_damage.py -k killed

# A store of 100 million flows over two weeks, 3.5 GB: how fast it is written, and what queries are measured on.
STORE_FLOWS ?= 100000000
SMALL_FLOWS := 1000000
build/store-%: | $(VENV)/dev.stamp
	rm -rf $@.part
	$(BIN)/python benchmarks/store_flows.py $@.part --flows $*
	mv $@.part.yaml $@.yaml
	mv $@.part $@

compare-queries: build/store-$(STORE_FLOWS) build/store-$(SMALL_FLOWS) | $(VENV)/dev.stamp
	$(BIN)/python benchmarks/queries.py build/store-$(STORE_FLOWS) --small build/store-$(SMALL_FLOWS) $(QUERIES_ARGS)

clean:
	rm -rf $(VENV) build dist ext/*.c src/*.egg-info src/spanline/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
