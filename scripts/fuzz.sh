#!/usr/bin/env bash
# Runs every fuzz target of the main module, each for the number of runs or the time given (default 20000x).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20000x}

grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' internal cmd | sort |
	while IFS=: read -r file match; do
		go test -run '^$' -fuzz "^${match#func }\$" -fuzztime "$time" "./$(dirname "$file")"
	done
