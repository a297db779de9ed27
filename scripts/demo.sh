#!/bin/sh
# Runs one throwaway container under runc by way of oci-add-hooks, with the hooks of examples/record-stages.json, and
# shows which hooks ran and what config.json gained. `make demo` builds the program and calls this.
#
# usage: scripts/demo.sh [PROGRAM]    (default: bin/oci-add-hooks)
#
# It takes runc, and installs Debian's if there is none: that alone takes root. Everything else happens in a temporary
# folder, which is removed in the end, with the container.
set -eu

cd "$(dirname "$0")/.."
program=$(realpath "${1:-bin/oci-add-hooks}")
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where runc is, and where the PATH of most users doesn't lead

step() { printf '\n==> %s\n' "$*"; }
fail() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

install_runc() {
	command -v apt-get >/dev/null || fail "runc is not installed, and there is no apt-get here to install it with: install runc, then try again"
	as_root=
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || fail "runc is not installed, and there is no sudo here: run 'apt-get install runc' as root, then try again"
		as_root=sudo
	fi
	step "runc is not installed: installing Debian's package runc (${as_root:+by sudo, }as root; nothing else here needs it)"
	$as_root apt-get update -qq || : # a fresh machine has no package lists yet
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends runc >/dev/null ||
		fail "runc could not be installed: install it, then try again"
}

command -v runc >/dev/null || install_runc
runc=$(command -v runc)

id=oci-add-hooks-demo-$$
work=$(mktemp -d)
cleanup() {
	"$runc" --root "$work/state" delete --force "$id" >/dev/null 2>&1 || :
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

step "A bundle: 'runc spec', and a root file system that holds one static program"
# Any static program would do, so it is the one that was just built: in the container it prints its version.
bundle=$work/bundle
mkdir -p "$bundle/rootfs"
cp "$program" "$bundle/rootfs/oci-add-hooks"
rootless=
if [ "$(id -u)" -ne 0 ]; then
	rootless=--rootless
	export XDG_RUNTIME_DIR="$work"
fi
"$runc" spec $rootless --bundle "$bundle"
sed -e 's|"terminal": true|"terminal": false|' -e 's|"sh"|"/oci-add-hooks", "--version"|' \
	"$bundle/config.json" >"$work/before.json"
cp "$work/before.json" "$bundle/config.json"
echo "$bundle"

step "A hook file: examples/record-stages.json, with the record in the temporary folder"
sed "s|/var/log/container-stages.log|$work/record|" examples/record-stages.json >"$work/hooks.json"
cat "$work/hooks.json"

step "The container (what it prints comes from inside it)"
set -- --hook-config-path "$work/hooks.json" --runtime-path "$runc" --root "$work/state" run --bundle "$bundle" "$id"
echo "\$ oci-add-hooks $*"
if ! "$program" "$@" </dev/null; then
	[ -z "$rootless" ] ||
		echo "demo: containers without root take unprivileged user namespaces, which this system may not allow; try: sudo make demo" >&2
	fail "the container did not run"
fi

step "The hooks that ran, in order, each with the container's state as it was given on standard input"
[ -e "$work/record" ] || fail "no hook ran"
cat "$work/record"

step "What config.json gained (a - and a + for the line that the hooks were put into; all else is as it was)"
diff -u "$work/before.json" "$bundle/config.json" && fail "config.json gained nothing"

ran=$(cut -d ' ' -f 1 "$work/record" | tr '\n' ' ')
[ "$ran" = "prestart createRuntime createContainer poststart poststop " ] || fail "other hooks were to run than: $ran"
