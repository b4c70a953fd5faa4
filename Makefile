# SPDX-License-Identifier: Apache-2.0
# `make demo` shows what Sluice does, `make test` proves it. Both install what they need (Debian 12,
# as root); `make packages` installs all of it, `make build` the gateway alone into build/.

.PHONY: build demo test bench install packages clean

JOBS := -j $(shell nproc)

build: build/build.ninja
	ninja $(JOBS) -C build

build/build.ninja: meson.build
	tests/install build
	test -e $@ || meson setup build

demo:
	tests/install build lab
	$(MAKE) --no-print-directory build
	/usr/bin/python3 tests/lab/demo.py

test:
	tests/install build lab test
	/usr/bin/python3 tests/run

bench:
	tests/install build lab bench
	$(MAKE) --no-print-directory build
	bench/run

install: build
	meson install -C build --no-rebuild

packages:
	tests/install build lab test bench

clean:
	rm -rf build build-asan build-tsan build-fuzz
