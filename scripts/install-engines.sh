#!/usr/bin/env bash
# Installs the missing engines, runtimes and tools for the tests and the bench, on Debian and its derivatives. With the
# argument `cluster` it also installs those for test/cluster. On other systems, and without root and sudo, it says what is
# missing and succeeds: the tests that need it are skipped.
set -euo pipefail

# program:package
wanted=(runc:runc crun:crun dockerd:docker.io docker:docker.io containerd:containerd podman:podman
	busybox:busybox-static iptables:iptables cc:gcc groff:groff
	rpm:rpm man:man-db qemu-aarch64:qemu-user)

if [ "${1:-}" = cluster ]; then
	wanted+=(/lib/systemd/systemd:systemd ip:iproute2 /usr/lib/cni/bridge:containernetworking-plugins openssl:openssl dbus-daemon:dbus pkg-config:pkg-config)
fi

missing=()
for pair in "${wanted[@]}"; do
	PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
# Since Debian 13, Docker's client is in a separate package.
if ! command -v docker >/dev/null && apt-cache show docker-cli >/dev/null 2>&1; then
	missing+=(docker-cli)
fi
if ! compgen -G '/usr/lib/*/libc.a' >/dev/null; then # static C programs need it
	missing+=(libc6-dev)
fi
if [ "${1:-}" = cluster ] && ! [ -e /usr/include/seccomp.h ]; then # runc needs it
	missing+=(libseccomp-dev)
fi
if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
	echo "install-engines: missing, and cannot be installed here without apt-get and root or sudo: ${missing[*]}" >&2
	exit 0
fi
echo "install-engines: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
