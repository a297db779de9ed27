#!/usr/bin/env bash
# Prints the table of engines and versions that the last complete runs of test/engines tried. With a file as its argument, it
# replaces the table with the same head in that file.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! compgen -G 'bin/tried/*' >/dev/null; then
	echo "tried: no complete run of test/engines has passed here" >&2
	exit 0
fi
head='| root | engines and runtimes | tests | skipped | on |'
table=$(
	echo "$head"
	echo '|---|---|---|---|---|'
	cat bin/tried/*
)
if [ $# -eq 0 ]; then
	echo "$table"
	exit
fi
new=$(mktemp)
trap 'rm -f "$new"' EXIT
if ! head=$head table=$table awk '
	$0 == ENVIRON["head"] { print ENVIRON["table"]; old = found = 1 }
	!/^\|/ { old = 0 }
	!old
	END { exit !found }
' "$1" >"$new"; then
	echo "tried: $1 has no table with the head $head" >&2
	exit 1
fi
cat "$new" >"$1"
