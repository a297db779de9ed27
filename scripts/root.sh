#!/usr/bin/env bash
# Makes a root directory with the engines of a Debian suite, unless it exists, and prints its path:
#
#	scripts/root.sh trixie
#
# The root is kept below ROOT_CACHE, where only root can read, with a hash of its recipe in its name. A changed recipe
# makes another root; the old one is removed when no run has used it for two days. Without root, sudo or apt-get the
# script says so and prints nothing.
set -euo pipefail
suite=$1
script=$(readlink -f "$0")
ROOT_CACHE=${ROOT_CACHE:-/var/cache/oci-add-hooks-test}
MIRROR=${MIRROR:-http://deb.debian.org/debian}

packages=(runc crun runsc docker.io docker-cli docker-compose docker-buildx containerd podman
	busybox-static iptables uidmap ca-certificates make)

say() { echo "root: $*" >&2; }

if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		say "no $suite root: it takes root, or a sudo that asks for no password"
		exit 0
	fi
	exec sudo -n env ROOT_CACHE="$ROOT_CACHE" MIRROR="$MIRROR" "$script" "$suite"
fi

install -d -m 0700 "$ROOT_CACHE"
exec 9>"$ROOT_CACHE/lock"
if ! flock -n 9; then
	say "waiting for another run that makes a root in $ROOT_CACHE"
	flock 9
fi

# sid changes every day.
day=
if [ "$suite" = sid ]; then
	day=$(date -u +%F)
fi
recipe=$({ cat "$script"; echo "$suite $MIRROR $day"; } | sha256sum | cut -c1-12)
root=$ROOT_CACHE/$suite-$recipe
if [ -d "$root" ]; then
	touch "$root"
	echo "$root"
	exit
fi
# What killed runs left, and the roots of other recipes.
rm -rf --one-file-system "$ROOT_CACHE/.$suite-"*
find "$ROOT_CACHE" -mindepth 1 -maxdepth 1 -name "$suite-*" -mtime +1 -exec rm -rf --one-file-system {} +

if ! command -v debootstrap >/dev/null || ! command -v gpgv >/dev/null || [ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then
	if ! command -v apt-get >/dev/null; then
		say "no $suite root: debootstrap, gpgv and debian-archive-keyring are not installed, and there is no apt-get"
		exit 0
	fi
	apt-get update -qq >&2
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap gpgv debian-archive-keyring >/dev/null
fi

say "making $root from $MIRROR (one to three minutes, 1 GB)"
log=$ROOT_CACHE/$suite.log
new=$(mktemp -d "$ROOT_CACHE/.$suite-XXXXXX")
trap 'rm -rf --one-file-system "$new"' EXIT
start=$SECONDS
list=$(IFS=, && echo "${packages[*]}")
# What debootstrap mounts ends with its mount namespace, even if it is killed.
if ! DEBIAN_FRONTEND=noninteractive unshare --mount debootstrap --force-check-gpg --variant=minbase --include="$list" \
	"$suite" "$new" "$MIRROR" >"$log" 2>&1 </dev/null 9>&-; then
	tail -n 20 "$log" "$new/debootstrap/debootstrap.log" >&2 2>/dev/null || true
	say "debootstrap $suite failed, as the lines above say (the whole is in $log); 'make MIRROR=URL' takes another mirror than $MIRROR, and 'make test-all ROOTS=' leaves this root out"
	exit 1
fi
rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
chmod 0755 "$new"
touch "$new"
mv -T "$new" "$root"
trap - EXIT
say "made in $((SECONDS - start)) s"
echo "$root"
