#!/bin/sh
# Prints the version of a deb and an rpm for VERSION, the output of `git describe --tags --always --dirty`. Versions sort as
# the commits do: v1.0.0-rc.1 before v1.0.0, and commits after a tag after it. Without a tag, the version sorts before all
# others, and the day of the commit (SOURCE_DATE_EPOCH, in seconds) orders it.
#
#   SOURCE_DATE_EPOCH=SECONDS packaging/version.sh VERSION
set -eu

day=$(date -u -d "@${SOURCE_DATE_EPOCH:?}" +%Y%m%d)

printf '%s\n' "$1" | sed -E '
	s/-dirty$/+dirty/
	s/^([0-9a-f]{7,40}|devel)(\+dirty)?$/0~git'"$day"'.\1\2/
	s/^v([0-9])/\1/
	s/-([0-9]+)-g([0-9a-f]+)(\+dirty)?$/+\1.g\2\3/
	s/-/~/
	s/-/./g'
