#!/usr/bin/env bash
# Runs test/engines in each named root. machine is this machine's own root; root.sh makes any other from the Debian suite with
# that name.
set -euo pipefail
cd "$(dirname "$0")/.."
gotestsum=$PWD/bin/gotestsum
for name; do
	root=
	if [ "$name" != machine ]; then
		root=$(scripts/root.sh "$name")
		if [ -z "$root" ]; then
			continue # root.sh has printed the reason
		fi
	fi
	echo "test-engines: $name"
	(cd test/engines && OCI_ADD_HOOKS_TEST_ROOT=$root "$gotestsum" --format testname -- -count=1 -timeout 3h .)
done
