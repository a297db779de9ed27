#!/usr/bin/env bash
# Runs make targets that test, in order. It first lists them, with the time that each took in its last run in this checkout.
# At the end it lists the engines and versions that were tried.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes() { printf '%d:%02d min' $(($1 / 60)) $(($1 % 60)); }

mkdir -p bin/took
echo "test: $# steps"
for target; do
	took="not run here yet"
	if [ -s "bin/took/$target" ]; then
		took="$(minutes "$(cat "bin/took/$target")") last time"
	fi
	printf '  make %-16s %s\n' "$target" "$took"
done
for target; do
	echo "test: make $target"
	start=$SECONDS
	make --no-print-directory "$target"
	echo $((SECONDS - start)) >"bin/took/$target"
done
echo "test: all passed in $(minutes $SECONDS)"
scripts/tried.sh
