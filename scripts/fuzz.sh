#!/usr/bin/env bash
# Runs every fuzz target of the main module, each for the time given (default 5s).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-5s}

grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' internal cmd | sort |
	while IFS=: read -r file match; do
		go test -run '^$' -fuzz "^${match#func }\$" -fuzztime "$time" "./$(dirname "$file")"
	done
