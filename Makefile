# What one types here. Every target does its own set-up; the jobs themselves are in tests/ci.sh.
.DEFAULT_GOAL := help
.PHONY: help build demo test test-arm bench bench-modules lint deb clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the daemon and every stock module, in target/release
	tests/ci.sh build

demo: ## two proxies between curl and nginx, in namespaces on this machine (root)
	tests/ci.sh demo

test: ## everything: style, documentation, licences, unit tests, tests in namespaces (root)
	tests/ci.sh all

test-arm: ## the packages for OpenWrt on an emulated ARMv7, with Debian's kernel (root)
	tests/ci.sh arm

bench: ## srv6pipes beside the kernel router and other proxies; QUICK=1 takes under three minutes (root)
	tests/ci.sh bench

lint: ## only what needs no running: format, clippy, documentation, licences
	tests/ci.sh fmt clippy doc deny

bench-modules: ## what each stock function costs, as a table; WRITE=1 puts it into vnf-modules/README.md
	tests/ci.sh bench_modules

deb: ## the Debian package for this machine's architecture, in target/deb
	cross/deb.sh

clean: ## forget what was built
	cargo clean
