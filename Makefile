# SPDX-License-Identifier: PostgreSQL
# The front door. Each target is a line or two; what it does lies in meson.build, scripts/ and test/.

BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
# For each of the fuzzers.
FUZZ_SECONDS ?= 600
# In all, by one process.
SOAK_CONNECTS ?= 100000

.PHONY: all build deps test test-libpqs test-clients demo bench soak fuzz lint install deb test-deb clean
all: build

# What was built is also laid out under $(BUILD)/stage as an installation would be: tests run what users get.
build:
	@scripts/build $(BUILD)

deps:
	@scripts/install-packages build test

test: deps build
	@scripts/test $(BUILD)

# The same over libpq 14 to 18, which come from the npm registry.
test-libpqs: deps build
	@test/libpqs/run $(BUILD)

# Real clients, from Debian and npm: installs and runs them all, and prints a table.
test-clients: deps build
	@scripts/install-packages clients
	@PQMINT_BUILD=$(BUILD) test/clients/run --npm
	@PQMINT_BUILD=$(BUILD) test/clients/run

demo: deps build
	@test/server/demo $(BUILD)

# Into build/bench: report.md, results.csv and plots. BENCH_ROUNDS sets how many rounds.
bench: deps build
	-@scripts/install-packages bench
	@test/bench/run $(BUILD)

# One process that connects, and connects, while the services around it fail and come back. A quarter of an hour.
soak: deps build
	@PQMINT_TEST_CONNECTS=$(SOAK_CONNECTS) scripts/test $(BUILD) soak --verbose --timeout-multiplier 0

fuzz:
	@scripts/install-packages build lint
	@test/fuzz/run build-fuzz $(FUZZ_SECONDS)

lint:
	@scripts/install-packages build test lint
	@scripts/lint

install: build
	@meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX)) && ninja -C $(BUILD) --quiet build.ninja >/dev/null
	@DESTDIR="$(if $(DESTDIR),$(abspath $(DESTDIR)))" meson install -C $(BUILD) --quiet --no-rebuild
	@echo "installed: $(if $(DESTDIR),$(abspath $(DESTDIR)))$(abspath $(PREFIX))/bin/pqmint"

# build/deb/*.deb, out of a copy of the sources.
deb:
	@scripts/install-packages build deb
	@scripts/deb $(BUILD)/deb

# As root: installs the packages, logs in with them, removes them.
test-deb: deps build deb
	@test/packaging $(BUILD)

clean:
	rm -rf $(BUILD)
