#!/usr/bin/env bash
# Prints the table of engines and versions that the last runs of test/engines tried. With a file, writes it there
# between the lines <!-- tried --> and <!-- /tried -->.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! compgen -G 'bin/tried/*' >/dev/null; then
	echo "tried: no engine was tried: test/engines has not run here as a whole" >&2
	exit 0
fi
table=$(
	echo '| root | engines and runtimes | tests | skipped | on |'
	echo '|---|---|---|---|---|'
	cat bin/tried/*
)
if [ $# -eq 0 ]; then
	echo "$table"
	exit
fi
new=$(mktemp)
trap 'rm -f "$new"' EXIT
table=$table awk '
	$0 == "<!-- /tried -->" { between = 0 }
	!between
	$0 == "<!-- tried -->" { between = found = 1; print ENVIRON["table"] }
	END { exit !found }
' "$1" >"$new" || { echo "tried: $1 has no line <!-- tried -->" >&2; exit 1; }
cat "$new" >"$1"
