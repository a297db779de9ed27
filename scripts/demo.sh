#!/bin/sh
# Shows what the programs do: a throwaway container under runc with a hook at every stage, and the changes that a hook file
# makes in a config.json. `make demo` builds the programs and calls this script.
#
# usage: scripts/demo.sh [DIRECTORY]    (the directory of the programs; default: bin)
#
# The script needs runc. If it is missing, the script installs Debian's, which is the only step that needs root. It works in
# a temporary directory, which it removes at the end.
set -eu

cd "$(dirname "$0")/.."
bin=$(realpath "${1:-bin}")
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # runc is there, and the PATH of most users lacks these directories

step() { printf '\n==> %s\n' "$*"; }
fail() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

install_runc() {
	command -v apt-get >/dev/null || fail "runc is not installed, and there is no apt-get here to install it; install runc, then try again"
	as_root=
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || fail "runc is not installed, and there is no sudo here; run 'apt-get install runc' as root, then try again"
		as_root=sudo
	fi
	step "runc is not installed: installing Debian's package runc (${as_root:+with sudo, }as root; no other step needs root)"
	$as_root apt-get update -qq || : # a fresh machine has no package lists yet
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends runc >/dev/null ||
		fail "runc could not be installed; install it, then try again"
}

command -v runc >/dev/null || install_runc
step "A throwaway container with a hook at every stage: hookctl try"
"$bin/hookctl" try

step "What a hook file would add to a config.json, and why: hookctl preview"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
runc spec --bundle "$work"
"$bin/hookctl" preview --bundle "$work" --hook-config-path examples/record-stages.json
