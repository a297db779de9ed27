// Package build knows from which version of this project a program was built.
package build

import (
	"cmp"
	"runtime/debug"
)

// Of returns the version of this program and the commit that it was built from. version and commit are the values that
// the linker sets in a release; if one is empty, Of takes the value that Go records in the binary. The commit is
// "unknown" if both are empty.
func Of(version, commit string) (string, string) {
	if info, ok := debug.ReadBuildInfo(); ok {
		version = cmp.Or(version, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = cmp.Or(commit, s.Value)
			}
		}
	}
	return version, cmp.Or(commit, "unknown")
}
