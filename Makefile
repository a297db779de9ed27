# make help lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# What is made of one commit is the same whenever it is made.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
export VERSION COMMIT SOURCE_DATE_EPOCH

# No cgo and no position-independent executable: each would cost every container operation half a millisecond.
export CGO_ENABLED := 0
GO_BUILD := go build -trimpath -buildmode=exe
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# Where there is internal/early, it is what the kernel enters: calls that add nothing never start Go.
EARLY := $(if $(filter amd64 arm64,$(or $(GOARCH),$(shell go env GOARCH))),-E github.com/awslabs/oci-add-hooks/internal/early.entry)

# Where the programs are built.
BIN ?= bin

# Modules of their own, so that nothing that only their tests need comes near the runtime.
TEST_MODULES := $(filter-out test/newer test/engines test/cluster,$(patsubst %/go.mod,%,$(wildcard test/*/go.mod)))

# Runs, or a time such as 30m: but go then ends a target now and then with an error, because its time is up.
FUZZTIME ?= 20000x

# What two targets make may be the same files.
.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: build
build: runtime ## build bin/oci-add-hooks, bin/oci-run-hook and bin/hookctl
	$(GO_BUILD) -ldflags '$(LDFLAGS)' -o '$(BIN)/' ./cmd/hookctl

# Tests and the bench build what runs for each container by this target, so that what they run is what is shipped.
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

# What install installs, and uninstall removes: the mode, the directory, the files.
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
install: build man completions ## install the programs, manual pages, completions and documents below PREFIX (/usr/local), in DESTDIR
	for line in $(INSTALLED); do set -- $$line; install -D -m "$$1" -t "$(DESTDIR)$$2" "$${@:3}"; done

.PHONY: uninstall
uninstall: man completions ## remove what install installed, unless a container or an engine needs it
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
release: ## make all that a release has: archives and packages for the seven
	$(MAKE) clean
	$(MAKE) dist package ARCHS='$(RELEASE_ARCHS)'

IMAGE ?= oci-add-hooks:$(VERSION)

.PHONY: image
image: build ## build the image IMAGE (oci-add-hooks:VERSION) for Kubernetes, by docker
	docker build --tag '$(IMAGE)' \
		--label org.opencontainers.image.version='$(VERSION)' \
		--label org.opencontainers.image.revision='$(COMMIT)' \
		--label org.opencontainers.image.licenses=Apache-2.0 .

.PHONY: demo
demo: build ## run a throwaway container with example hooks under runc
	scripts/demo.sh

# What make test does, in this order, and what make test-all adds: what takes longest.
TESTS := engines test-unit test-fuzz test-modules test-engines
MORE_TESTS := test-packaging

.PHONY: picture
picture: build ## draw docs/hookctl-try.svg from a real run of hookctl try, under runc
	scripts/picture.sh

.PHONY: test
test: ## install the engines that are missing and run the tests
	scripts/test.sh $(TESTS)

.PHONY: test-all
test-all: ## the same, and the tests of packages, which build everything several times
	scripts/test.sh $(TESTS) $(MORE_TESTS)

# The Debian suites in whose root test/engines runs, besides the machine's own root.
ROOTS ?= trixie
export ROOT_CACHE MIRROR

.PHONY: engines
engines: ## install the engines and tools that the tests and the bench use (Debian), build newer ones, make the roots
	scripts/install-engines.sh
	$(MAKE) --no-print-directory newer
	for suite in $(ROOTS); do scripts/root.sh "$$suite" >/dev/null; done

# Debian's engines are years old. These are the versions that test/newer pins. Without a C compiler there is no runc, and its
# tests are skipped.
.PHONY: newer
newer: bin/newer/containerd $(if $(shell command -v cc),bin/newer/runtimes/runc) ## build the containerd and runc that test/newer pins

bin/newer/containerd: test/newer/go.mod
	cd test/newer && go build -trimpath -ldflags '-s -w' -o $(CURDIR)/bin/newer/ \
		$(addprefix github.com/containerd/containerd/v2/cmd/,containerd containerd-shim-runc-v2 ctr)
	touch $@

# In a directory of its own, so that only the tests that ask for it meet it. It is the one program here that has C in it.
bin/newer/runtimes/runc: test/newer/go.mod
	cd test/newer && CGO_ENABLED=1 go build -trimpath -ldflags '-s -w' -o $(CURDIR)/bin/newer/runtimes/ github.com/opencontainers/runc
	touch $@

# gotestsum ends each run by listing what was skipped, and why.
GOTESTSUM := bin/gotestsum --format pkgname
# The limit is for a hang: a busy machine with cold caches may take many times what a quiet one does.
TEST_FLAGS := -count=1 -timeout 3h
bin/gotestsum: go.mod
	go build -o $@ gotest.tools/gotestsum

# What takes more than a few seconds: kills by the hundred, whole containers, every example of the documents.
SLOW := test/ examples internal/hookctl/registration internal/hookctl/try internal/hooklog internal/hookrun

.PHONY: quick
quick: ## vet, and the fast tests of what has changed since they last passed: for each save, in less than a minute
	go vet ./...
	go test -short $$(go list ./... | grep -v $(SLOW:%=-e '/%'))

.PHONY: test-unit
test-unit: bin/gotestsum ## tables, command scripts, process tests
	$(GOTESTSUM) -- $(TEST_FLAGS) ./...

.PHONY: test-faults
test-faults: ## kills, failing system calls, odd files, two thousand calls at once; test-unit has them too
	go test -count=1 -v ./test/faults

.PHONY: test-fuzz
test-fuzz: ## every fuzz target for FUZZTIME (20000x: runs; or a time)
	scripts/fuzz.sh $(FUZZTIME)

.PHONY: test-modules
test-modules: bin/gotestsum ## Podman's library side by side, the Kubernetes manifests
	for m in $(TEST_MODULES); do (cd $$m && $(CURDIR)/$(GOTESTSUM) -- $(TEST_FLAGS) ./...); done

.PHONY: test-engines
test-engines: bin/gotestsum ## real engines, in the machine's own root and those of ROOTS (trixie)
	scripts/test-engines.sh machine $(ROOTS)

.PHONY: test-next
test-next: bin/gotestsum newer ## the same in a root of Debian sid, whose engines change daily
	scripts/test-engines.sh sid

.PHONY: test-packaging
test-packaging: bin/gotestsum ## the packages: installed, upgraded, removed, built twice
	cd packaging && $(CURDIR)/$(GOTESTSUM) -- $(TEST_FLAGS) ./...

.PHONY: tried
tried: ## write the engines and versions of the last test runs into docs/tested.md
	scripts/tried.sh docs/tested.md

.PHONY: test-cluster
test-cluster: engines ## docs/kubernetes.md on real clusters of one node and of three (root; 15 minutes, and some 20 more the first time); not part of test
	scripts/install-engines.sh cluster
	cd test/cluster && ./build.sh && go test -count=1 -v -timeout 60m .

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, shellcheck
	scripts/lint.sh

.PHONY: bench
bench: ## what a call costs, beside a bare runtime and the least that C and Go can do; whole containers
	go run ./bench
	cd test/engines && go test -run '^$$' -bench Containers -benchtime 1x

.PHONY: bench-gate
bench-gate: ## fail if a call costs too much of the least that Go can do
	go run ./bench -n 200 -gate

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
