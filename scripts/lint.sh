#!/usr/bin/env bash
# Runs the checks that do not run the programs, in every module of the project.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "not formatted (gofmt -w): $unformatted" >&2
	exit 1
fi

mkdir -p bin
go build -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck
staticcheck=$PWD/bin/staticcheck
for mod in $(find . -name go.mod -not -path './bin/*' | sort); do
	(
		cd "$(dirname "$mod")"
		echo "lint: $(go list -m)"
		go mod tidy -diff
		go vet ./...
		"$staticcheck" -checks all,-ST1000,-ST1005 ./...
	)
done

# Each package that is linked into a program that runs for each container costs time.
go test -count=1 -run Linked ./cmd/oci-add-hooks ./cmd/oci-run-hook

if ! command -v shellcheck >/dev/null; then
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
		echo "lint: shellcheck is not installed (apt-get install shellcheck)" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends shellcheck >/dev/null
fi
shellcheck -x scripts/*.sh packaging/*.sh test/cluster/*.sh .ci/run
go tool actionlint
