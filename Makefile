# The two commands of the README are `make demo` and `make test`; everything else serves them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

export PORTOLAN_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/portolan
# Builds survive a fresh clone: dependencies are compiled once a machine, not once a checkout.
export CARGO_TARGET_DIR ?= $(PORTOLAN_CACHE)/target
export PATH := $(PORTOLAN_CACHE)/tools/bin:$(PATH)

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what this machine lacks (prints it first); `demo` and `test` call it
	@hack/setup

.PHONY: demo
demo: setup ## a real cluster, the chart, an application, and an ExposedPort answering over HTTPS (CLUSTER=kind|current: on another cluster)
	@demo/run

.PHONY: demo-down
demo-down: ## take the demo's cluster away (with CLUSTER=kind|current: what the demo installed there)
	@demo/down

.PHONY: test
test: setup ## everything that is judged before a change lands
	@tests/run

.PHONY: nightly
nightly: setup ## the long versions: more cases, whole sweeps
	@NIGHTLY=1 tests/run

.PHONY: check
check: ## format, lints, walls and generated files, without a cluster
	@ONLY=check tests/run

.PHONY: unit
unit: ## unit and property tests, without a running cluster
	@ONLY=unit tests/run

.PHONY: bench-setup
bench-setup: ## install the proxies that `bench-proxy` compares with
	@bench/setup

.PHONY: bench-proxy
bench-proxy: ## the data plane beside HAProxy, nginx, Envoy: half an hour on a machine that does nothing else (CASES=… ROUNDS=…; TRIAL=true writes nothing)
	@bench/proxy

.PHONY: bench-index
bench-index: ## what one change costs the operator among 1,000 exposures and among 100,000: two minutes (ROUNDS=…)
	@cargo run --locked --release -p portolan-bench -- index

.PHONY: bench-renewal
bench-renewal: ## how soon a renewed Secret is served by every proxy, on the cluster that `make demo` left (ROUNDS=…)
	@bench/renewal

.PHONY: bench-verify
bench-verify: ## recompute the figures in bench/results and docs from the raw rounds
	@cargo run --quiet --locked -p portolan-bench -- verify

.PHONY: clients
clients: setup ## real clients through portolan serve: curl, wrk, h2load, Go, Node, WebSocket libraries, testssl.sh
	@ONLY=clients tests/run

.PHONY: images
images: ## release images as OCI archives in images/, to push to a registry of your own
	@hack/images

.PHONY: generate
generate: ## write the generated files again: CRDs, protobuf code, the reasons page
	@hack/generate

.PHONY: clean-cache
clean-cache: ## remove what was built into the user's cache folder
	rm -rf "$(PORTOLAN_CACHE)"
