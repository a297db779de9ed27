# make help lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# The build of a commit does not depend on the time at which it is built.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
export VERSION COMMIT SOURCE_DATE_EPOCH

# No cgo and no position-independent executable: each would cost every container operation half a millisecond.
export CGO_ENABLED := 0
GO_BUILD := go build -trimpath -buildmode=exe
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# On these architectures the kernel enters internal/early, so that calls that add nothing do not start Go.
EARLY := $(if $(filter amd64 arm64,$(or $(GOARCH),$(shell go env GOARCH))),-E github.com/awslabs/oci-add-hooks/internal/early.entry)

# The directory in which the programs are built.
BIN ?= bin

# Separate modules, so that the runtime does not depend on what only their tests need.
TEST_MODULES := $(filter-out test/newer test/engines test/cluster,$(patsubst %/go.mod,%,$(wildcard test/*/go.mod)))

# A number of runs, or a time such as 30m. With a time, go sometimes ends a target with an error when the time is up.
FUZZTIME ?= 20000x

# Two targets may write the same files.
.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: build
build: runtime ## build bin/oci-add-hooks, bin/oci-run-hook and bin/hookctl
	$(GO_BUILD) -ldflags '$(LDFLAGS)' -o '$(BIN)/' ./cmd/hookctl

# Tests and the bench build the programs that run for each container with this target, so that they run what is shipped.
.PHONY: runtime
runtime: ## build bin/oci-add-hooks and bin/oci-run-hook
	$(GO_BUILD) -ldflags '$(LDFLAGS) $(EARLY)' -o '$(BIN)/' ./cmd/oci-add-hooks
	$(GO_BUILD) -ldflags '$(LDFLAGS)' -o '$(BIN)/' ./cmd/oci-run-hook

.PHONY: man
man: ## write the manual pages to bin/man
	rm -rf bin/man
	go run ./internal/hookctl/manpages '$(VERSION)' bin/man

.PHONY: completions
completions: build ## write the shells' completions to bin/completions
	mkdir -p bin/completions
	bin/hookctl completion bash >bin/completions/hookctl
	bin/hookctl completion zsh >bin/completions/_hookctl
	bin/hookctl completion fish >bin/completions/hookctl.fish

PREFIX ?= /usr/local
DESTDIR ?=
BASH_COMPLETIONS ?= $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions
DOCS ?= $(PREFIX)/share/doc/oci-add-hooks
FISH_COMPLETIONS ?= $(PREFIX)/share/fish/vendor_completions.d

# The files that install installs and uninstall removes, each line with the mode, the directory and the files.
INSTALLED = \
	'0755 $(PREFIX)/bin bin/oci-add-hooks bin/oci-run-hook bin/hookctl' \
	'0644 $(PREFIX)/share/man/man1 bin/man/*.1' \
	'0644 $(PREFIX)/share/man/man5 bin/man/*.5' \
	'0644 $(PREFIX)/share/man/man8 bin/man/*.8' \
	'0644 $(BASH_COMPLETIONS) bin/completions/hookctl' \
	'0644 $(ZSH_COMPLETIONS) bin/completions/_hookctl' \
	'0644 $(FISH_COMPLETIONS) bin/completions/hookctl.fish' \
	'0644 $(DOCS) LICENSE NOTICE *.md' \
	'0644 $(DOCS)/docs docs/*.md docs/*.svg' \
	'0644 $(DOCS)/examples examples/*.json examples/*.yaml' \
	'0644 $(DOCS)/deploy/kubernetes deploy/kubernetes/*.*' \
	'0644 $(DOCS)/deploy/kubernetes/example deploy/kubernetes/example/*' \
	'0644 $(DOCS)/deploy/kubernetes/hold deploy/kubernetes/hold/*'

.PHONY: install
install: build man completions ## install programs, manual pages, completions and documents below PREFIX (/usr/local), in DESTDIR
	for line in $(INSTALLED); do set -- $$line; install -D -m "$$1" -t "$(DESTDIR)$$2" "$${@:3}"; done

.PHONY: uninstall
uninstall: man completions ## remove the installed files, unless a container or an engine needs them
	@[ -n '$(DESTDIR)' ] || packaging/preremove.sh remove '$(PREFIX)'
	for line in $(INSTALLED); do set -- $$line; for file in "$${@:3}"; do rm -f "$(DESTDIR)$$2/$${file##*/}"; done; done
	if [ -d '$(DESTDIR)$(DOCS)' ]; then find '$(DESTDIR)$(DOCS)' -depth -type d -exec rmdir --ignore-fail-on-non-empty {} +; fi

RELEASE_ARCHS := amd64 arm64 arm 386 riscv64 ppc64le s390x

.PHONY: dist
dist: ARCHS ?= $(RELEASE_ARCHS)
dist: man completions ## make dist/*.tar.gz for each of ARCHS (all seven), and SHA256SUMS
	scripts/dist.sh archive $(ARCHS)

.PHONY: package
package: ARCHS ?= $(shell go env GOARCH)
package: man completions ## make dist/*.deb and *.rpm for each of ARCHS (this machine's), and SHA256SUMS
	scripts/dist.sh package $(ARCHS)

.PHONY: release
release: ## make the files of a release: archives and packages for all seven
	$(MAKE) clean
	$(MAKE) dist package ARCHS='$(RELEASE_ARCHS)'

IMAGE ?= oci-add-hooks:$(VERSION)

.PHONY: image
image: build ## build the image IMAGE (oci-add-hooks:VERSION) for Kubernetes, with docker
	docker build --tag '$(IMAGE)' \
		--label org.opencontainers.image.version='$(VERSION)' \
		--label org.opencontainers.image.revision='$(COMMIT)' \
		--label org.opencontainers.image.licenses=Apache-2.0 .

.PHONY: demo
demo: build ## run a throwaway container with example hooks under runc
	scripts/demo.sh

# The targets that make test runs, in this order, and those that make test-all adds, which take longest.
TESTS := engines test-unit test-engines
MORE_TESTS := test-modules test-fuzz test-kills test-roots test-packaging

.PHONY: picture
picture: build ## draw docs/hookctl-try.svg from a real run of hookctl try, under runc
	scripts/picture.sh

.PHONY: test
test: ## install the missing engines and run the tests
	scripts/test.sh $(TESTS)

.PHONY: test-all
test-all: ## run the same, and what takes longest: the other modules, fuzzing, kills of hookctl, Debian 13's engines, the packages
	scripts/test.sh $(TESTS) $(MORE_TESTS)

# The Debian suites in whose root test/engines runs, besides the machine's own root.
ROOTS ?= trixie
export ROOT_CACHE MIRROR

.PHONY: engines
engines: ## install the engines and tools for the tests and the bench (Debian), build newer ones
	scripts/install-engines.sh
	$(MAKE) --no-print-directory newer

# Debian's engines are years old, so test/newer pins newer versions. Without a C compiler runc is not built, and its tests are
# skipped.
.PHONY: newer
newer: bin/newer/containerd $(if $(shell command -v cc),bin/newer/runtimes/runc) ## build the containerd and runc that test/newer pins

bin/newer/containerd: test/newer/go.mod
	cd test/newer && go build -trimpath -ldflags '-s -w' -o $(CURDIR)/bin/newer/ \
		$(addprefix github.com/containerd/containerd/v2/cmd/,containerd containerd-shim-runc-v2 ctr)
	touch $@

# It is in a separate directory, so that only the tests that name it use it. It is the only program here that needs cgo.
bin/newer/runtimes/runc: test/newer/go.mod
	cd test/newer && CGO_ENABLED=1 go build -trimpath -ldflags '-s -w' -o $(CURDIR)/bin/newer/runtimes/ github.com/opencontainers/runc
	touch $@

# gotestsum lists the skipped tests and the reasons at the end of each run.
GOTESTSUM := bin/gotestsum --format pkgname
# The time limit is for a hang: a busy machine with cold caches may take many times as long as an idle one.
TEST_FLAGS := -count=1 -timeout 3h
bin/gotestsum: go.mod
	go build -o $@ gotest.tools/gotestsum

# Tests that take more than a few seconds: hundreds of kills, whole containers, every example in the documents.
KILLS := TestKilled|TestInterrupted
SLOW := test/ examples internal/hookctl/registration internal/hookctl/try internal/hooklog internal/hookrun

.PHONY: quick
quick: ## vet, and the fast tests of changed packages, in less than a minute
	go vet ./...
	go test -short -skip '$(KILLS)' $$(go list ./... | grep -v $(SLOW:%=-e '/%'))

.PHONY: test-unit
test-unit: bin/gotestsum ## run the tests of the main module
	$(GOTESTSUM) -- $(TEST_FLAGS) -short ./...

.PHONY: test-kills
test-kills: bin/gotestsum ## kill and interrupt each command of hookctl that changes the system a hundred times (test-unit: eight times)
	$(GOTESTSUM) -- $(TEST_FLAGS) -run '$(KILLS)' ./cmd/hookctl

.PHONY: test-faults
test-faults: ## run the tests with kills, failing system calls, odd files, 2000 calls at once (test-unit has them too)
	go test -count=1 -v ./test/faults

.PHONY: test-fuzz
test-fuzz: ## run every fuzz target for FUZZTIME (20000x runs, or a time)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: test-modules
test-modules: bin/gotestsum ## compare with Podman's library, check the Kubernetes manifests and the alerts
	for m in $(TEST_MODULES); do (cd $$m && $(CURDIR)/$(GOTESTSUM) -- $(TEST_FLAGS) ./...); done

.PHONY: test-engines
test-engines: bin/gotestsum ## run the tests with real engines, in the machine's own root
	scripts/test-engines.sh machine

.PHONY: test-roots
test-roots: bin/gotestsum newer ## run the same in the roots of ROOTS (trixie: Debian 13), which it creates
	scripts/test-engines.sh $(ROOTS)

.PHONY: test-next
test-next: bin/gotestsum newer ## run the same in a root of Debian sid, whose engines change daily
	scripts/test-engines.sh sid

.PHONY: test-packaging
test-packaging: bin/gotestsum ## install, upgrade and remove the packages, and build them twice
	cd packaging && $(CURDIR)/$(GOTESTSUM) -- $(TEST_FLAGS) ./...

.PHONY: tried
tried: ## write the engines and versions of the last test runs into docs/tested.md
	scripts/tried.sh docs/tested.md

.PHONY: test-cluster
test-cluster: engines ## run docs/kubernetes.md on clusters of one and three nodes (root; 15 minutes, 35 the first time; not in test)
	scripts/install-engines.sh cluster
	cd test/cluster && ./build.sh && go test -count=1 -v -timeout 60m .

.PHONY: lint
lint: ## run gofmt, go vet, staticcheck, shellcheck
	scripts/lint.sh

.PHONY: bench
bench: ## measure a call, compared with a bare runtime and minimal wrappers in C and Go, and whole containers
	go run ./bench
	cd test/engines && go test -run '^$$' -bench Containers -benchtime 1x

.PHONY: bench-gate
bench-gate: ## fail if a call costs too much compared with the minimal Go wrapper
	go run ./bench -n 200 -gate

.PHONY: clean
clean: ## remove the built files
	rm -rf bin dist
