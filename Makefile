# Short names for what cmake, ctest, busted and scripts/ do.
#
#   make          build into build/
#   make demo     build and run examples/fast_start.lua
#   make test     C tests, boundaries, installation and specs
#   make spec     specs only; SPEC=FILE for one file
#   make bench    measure, and write bench/README.md; BENCH=full takes longer
#   make bench-peers  install what it is compared with
#   make spec-threads  specs of workflows, with bodies in worker threads
#   make sanitize-threads  specs under the thread sanitizer, about five minutes
#   make fuzz     run the fuzz targets, FUZZ_SECONDS=10 each
#   make check    formats, lint, all tests, all tests under sanitizers, fuzz
#                 targets, HTML reports in Chromium, what a task costs, how long
#                 the specs wait, the rock
#
# demo, test and check first install the Debian packages they miss.

BUILD ?= build
BENCH ?= quick
PREFIX ?= /usr/local
CMAKE_FLAGS ?=
FUZZ_SECONDS ?= 10
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
MAKEFLAGS += --no-print-directory

all:
	@test -f $(BUILD)/Makefile -o -f $(BUILD)/build.ninja || \
	  cmake -S . -B $(BUILD) $(CMAKE_FLAGS)
	@cmake --build $(BUILD) --parallel $(JOBS)

deps:
	@scripts/deps.sh build test

demo:
	@scripts/deps.sh build
	@$(MAKE) all
	@$(BUILD)/bin/astrum-lua examples/fast_start.lua

test:
	@scripts/deps.sh build test
	@$(MAKE) all
	@scripts/test.sh $(BUILD)

spec: all
	@$(BUILD)/bin/astrum-lua /usr/bin/busted --ignore-lua \
	  -o spec/support/output.lua $(or $(SPEC),spec)

spec-threads: all
	@scripts/spec-threads.sh $(BUILD)

sanitize:
	@scripts/deps.sh build test
	@$(MAKE) all BUILD=build-sanitize \
	  CMAKE_FLAGS="-DCMAKE_BUILD_TYPE=Debug -DASTRUM_SANITIZE=address,undefined"
	@scripts/test.sh build-sanitize

sanitize-threads:
	@scripts/deps.sh build test
	@$(MAKE) all BUILD=build-threads CMAKE_FLAGS=-DASTRUM_SANITIZE=thread
	@scripts/test-threads.sh build-threads

lint:
	@scripts/lint.sh

format:
	@scripts/format.sh write

fuzz:
	@scripts/fuzz.sh $(FUZZ_SECONDS)

check:
	@scripts/deps.sh build test check
	@scripts/format.sh check
	@scripts/lint.sh
	@$(MAKE) test sanitize fuzz
	@scripts/spec-threads.sh $(BUILD)
	@scripts/check-report.sh $(BUILD)
	@scripts/check-cost.sh $(BUILD)
	@lua5.4 scripts/check-waits.lua $(BUILD)
	@scripts/check-rock.sh

bench: all
	@cmake --build $(BUILD) --target bench_sched bench_codec
	@$(BUILD)/bin/astrum-lua bench/main.lua $(BUILD)/bench_sched $(BENCH)
	@$(BUILD)/bench_codec

bench-peers:
	@scripts/deps.sh peers
	@npm install --prefix bench/peers --no-audit --no-fund

install: all
	@DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"

clean:
	rm -rf build build-sanitize build-threads build-fuzz

.PHONY: all deps demo test spec spec-threads sanitize sanitize-threads lint format fuzz check bench bench-peers install clean
