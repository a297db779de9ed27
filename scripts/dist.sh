#!/usr/bin/env bash
# Makes the files of a release in dist. `make dist` and `make package` call it after they have written the manual pages and
# completions to bin:
#
#   scripts/dist.sh archive ARCH...    an archive for each of Go's architectures, and a bill of materials for each program
#   scripts/dist.sh package ARCH...    a deb and an rpm for each
#
# It reads VERSION, COMMIT and SOURCE_DATE_EPOCH from the environment. The same commit, built with the same Go, has the same
# bytes, independent of the time, the directory, the user and the settings.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=$1
shift
umask 022
export LC_ALL=C TZ=UTC0
# These override settings by `go env -w`, which change the binaries.
export GOFLAGS=-buildvcs=false GOAMD64=v1 GOARM64=v8.0 GOARM=7 GO386=sse2 GORISCV64=rva20u64 GOPPC64=power8
: "${VERSION:?}" "${COMMIT:?}" "${SOURCE_DATE_EPOCH:?}"
version=${VERSION#v}
programs=(oci-add-hooks oci-run-hook hookctl)

# tree DIRECTORY ARCH writes all files for one architecture.
tree() {
	rm -rf "$1"
	mkdir -p "$1"/{man,completions,examples,docs}
	GOARCH=$2 make --no-print-directory build BIN="$1"
	cp LICENSE NOTICE ./*.md "$1"
	cp examples/*.json examples/*.yaml "$1/examples"
	cp docs/*.md docs/*.svg "$1/docs"
	cp -r deploy "$1" # the documents refer to it
	cp bin/completions/* "$1/completions"
	cp bin/man/* "$1/man"
	gzip -9n "$1"/man/*
	licences >"$1/LICENSES-LINKED"
	chmod -R u=rwX,go=rX "$1" # independent of the checkout's modes
}

# licences prints the licences of all modules that are linked into the programs.
licences() {
	echo "The programs contain code of these Go modules, and of Go's own library (golang.org/x/sys has Go's licence)."
	go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/... | sort -u |
		while read -r path module_version dir; do
			printf '\n==== %s %s ====\n\n' "$path" "$module_version"
			cat "$dir"/LICENSE*
		done
}

# bills TREE writes a bill of materials (CycloneDX) for each program beside the archive, with the modules linked into it.
bills() {
	local program
	for program in "${programs[@]}"; do
		bin/cyclonedx-gomod bin -json -std -noserial -notimestamp -version "$VERSION" \
			-output "dist/$1-$program.cdx.json" "dist/$1/$program" 2>/dev/null
	done
}

archive() {
	tar --create --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
		--directory=dist "$1" | gzip -9n >"dist/$1.tar.gz"
}

# package TREE ARCH makes the deb and the rpm.
package() {
	local arch=$2 format file name
	[ "$arch" != arm ] || arch=arm7
	for format in deb rpm; do
		mkdir -p "$1/packages"
		(
			cd "$1" # nfpm.yaml's paths are relative to it
			VERSION=$(../../packaging/version.sh "$VERSION") ARCH=$arch \
				../../bin/nfpm package --config ../../packaging/nfpm.yaml --packager "$format" --target packages/
		)
	done
	# GitHub replaces a tilde in a file's name by a dot.
	for file in "$1"/packages/*; do
		name=${file##*/}
		mv "$file" "dist/${name//\~/-}"
	done
}

mkdir -p dist
case $kind in
archive)
	rm -f dist/*.tar.gz dist/*.cdx.json
	go build -C packaging -trimpath -o ../bin/cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	;;
package)
	rm -f dist/*.deb dist/*.rpm
	go build -C packaging -o ../bin/nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm
	;;
esac
for arch in "$@"; do
	name=oci-add-hooks-$version-linux-$arch
	tree "dist/$name" "$arch"
	case $kind in
	archive)
		archive "$name"
		bills "$name"
		;;
	package) package "dist/$name" "$arch" ;;
	esac
	rm -rf "dist/$name"
done
cd dist
find . -maxdepth 1 -name '*.tar.gz' -o -name '*.cdx.json' -o -name '*.deb' -o -name '*.rpm' | sed 's|^\./||' | sort | xargs sha256sum >SHA256SUMS
