# make help lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

# No cgo and no position-independent executable: each would cost every container operation half a millisecond.
export CGO_ENABLED := 0
GO_BUILD := go build -trimpath -buildmode=exe
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# Modules of their own, so that nothing that only their tests need comes near the runtime.
TEST_MODULES := $(patsubst %/go.mod,%,$(wildcard test/*/go.mod))

FUZZTIME ?= 5s

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: build
build: ## build bin/oci-add-hooks
	$(GO_BUILD) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/oci-add-hooks

.PHONY: demo
demo: build ## run a throwaway container with example hooks under runc
	scripts/demo.sh

.PHONY: test
test: engines test-unit test-fuzz test-modules ## install the engines that are missing and run every test

.PHONY: engines
engines: ## install the engines that the tests use (Debian)
	scripts/install-engines.sh

# gotestsum ends each run by listing what was skipped, and why.
GOTESTSUM := bin/gotestsum --format pkgname --hide-summary=output
bin/gotestsum: go.mod
	go build -o $@ gotest.tools/gotestsum

.PHONY: test-unit
test-unit: bin/gotestsum ## tables, command scripts, process tests
	$(GOTESTSUM) -- -count=1 ./...

.PHONY: test-faults
test-faults: 
test-fuzz: ## every fuzz target for FUZZTIME (5s)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: test-modules
test-modules: bin/gotestsum ## Podman's library side by side; real engines
	for m in $(TEST_MODULES); do (cd $$m && $(CURDIR)/$(GOTESTSUM) -- -count=1 -timeout 30m ./...); done

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, shellcheck
	scripts/lint.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
