#!/usr/bin/env bash
# Runs test/engines in each root that is named: machine is this machine's own, any other is made from the Debian suite
# of that name (root.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
gotestsum=$PWD/bin/gotestsum
for name; do
	root=
	if [ "$name" != machine ]; then
		root=$(scripts/root.sh "$name")
		if [ -z "$root" ]; then
			continue # root.sh has said why
		fi
	fi
	echo "test-engines: $name"
	(cd test/engines && OCI_ADD_HOOKS_TEST_ROOT=$root "$gotestsum" --format testname -- -count=1 -timeout 3h .)
done
