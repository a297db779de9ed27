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
build: ## build bin/oci-add-hooks and bin/hookctl
	$(GO_BUILD) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/oci-add-hooks
	$(GO_BUILD) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/hookctl

# Pages of one commit are the same whenever they are built.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

.PHONY: man
man: ## write the manual pages to bin/man
	rm -rf bin/man
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) go run ./internal/hookctl/manpages '$(VERSION)' bin/man

PREFIX ?= /usr/local
DESTDIR ?=
BASH_COMPLETIONS ?= $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS ?= $(PREFIX)/share/fish/vendor_completions.d

.PHONY: install
install: build man ## install the programs, manual pages and completions below PREFIX (/usr/local), in DESTDIR
	install -D -m 0755 -t '$(DESTDIR)$(PREFIX)/bin' bin/oci-add-hooks bin/hookctl
	install -D -m 0644 -t '$(DESTDIR)$(PREFIX)/share/man/man1' bin/man/*.1
	install -D -m 0644 -t '$(DESTDIR)$(PREFIX)/share/man/man5' bin/man/*.5
	install -D -m 0644 -t '$(DESTDIR)$(PREFIX)/share/man/man8' bin/man/*.8
	mkdir -p bin/completions
	bin/hookctl completion bash >bin/completions/hookctl
	bin/hookctl completion zsh >bin/completions/_hookctl
	bin/hookctl completion fish >bin/completions/hookctl.fish
	install -D -m 0644 -t '$(DESTDIR)$(BASH_COMPLETIONS)' bin/completions/hookctl
	install -D -m 0644 -t '$(DESTDIR)$(ZSH_COMPLETIONS)' bin/completions/_hookctl
	install -D -m 0644 -t '$(DESTDIR)$(FISH_COMPLETIONS)' bin/completions/hookctl.fish

.PHONY: demo
demo: build ## run a throwaway container with example hooks under runc
	scripts/demo.sh

.PHONY: test
test: engines test-unit test-fuzz test-modules ## install the engines that are missing and run every test

.PHONY: engines
engines: ## install the engines and tools that the tests and the bench use (Debian)
	scripts/install-engines.sh

# gotestsum ends each run by listing what was skipped, and why.
GOTESTSUM := bin/gotestsum --format pkgname
bin/gotestsum: go.mod
	go build -o $@ gotest.tools/gotestsum

.PHONY: test-unit
test-unit: bin/gotestsum ## tables, command scripts, process tests
	$(GOTESTSUM) -- -count=1 ./...

.PHONY: test-faults
test-faults: ## kills, failing system calls, odd files, two thousand calls at once; test-unit has them too
	go test -count=1 -v ./test/faults

.PHONY: test-fuzz
test-fuzz: ## every fuzz target for FUZZTIME (5s)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: test-modules
test-modules: bin/gotestsum ## Podman's library side by side; real engines
	for m in $(TEST_MODULES); do (cd $$m && $(CURDIR)/$(GOTESTSUM) -- -count=1 -timeout 30m ./...); done

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, shellcheck
	scripts/lint.sh

.PHONY: bench
bench: ## what a call costs, beside a bare runtime and the least that C and Go can do; whole containers
	go run ./bench
	cd test/engines && go test -run '^$$' -bench Containers -benchtime 1x

.PHONY: bench-gate
bench-gate: ## fail if a call passed through costs more than 1.25 of the least that Go can do
	go run ./bench -n 200 -gate 1.25

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
