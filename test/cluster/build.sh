#!/usr/bin/env bash
# Builds into PROGRAMS what the cluster needs: Kubernetes' programs as this module pins them, the runc of test/newer, a
# registry and a pause program, and etcd from Debian's package. The first run takes some 20 minutes; later ones do
# nothing.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/common.sh"
cd "$here"
export CGO_ENABLED=0
mkdir -p "$PROGRAMS"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
recipe=$(cat go.mod go.sum build.sh registry/main.go pause/main.go ../newer/go.mod | sha256sum)
[ "$(cat "$PROGRAMS/recipe" 2>/dev/null)" = "$recipe" ] && exit
rm -f "$PROGRAMS/recipe"
stamp=
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	stamp+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<"$version")"
	stamp+=" -X $package.gitTreeState=clean -X $package.gitCommit=unknown -X $package.buildDate=1970-01-01T00:00:00Z"
done
go build -trimpath -buildvcs=false -ldflags "-s -w$stamp" -o "$PROGRAMS/" tool ./registry ./pause
(cd ../newer && CGO_ENABLED=1 go build -trimpath -buildvcs=false -tags seccomp -ldflags '-s -w' -o "$PROGRAMS/" github.com/opencontainers/runc)
download=$(mktemp -d)
trap 'rm -rf "$download"' EXIT
(cd "$download" && apt-get download -qq etcd-server && dpkg -x etcd-server_*.deb .)
install "$download/usr/bin/etcd" "$PROGRAMS/"
echo "$recipe" >"$PROGRAMS/recipe"
