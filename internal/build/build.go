// Package build knows which version of this project a program was built of.
package build

import (
	"cmp"
	"runtime/debug"
)

// Of returns the version of this program and the commit that it was built of: what the linker has set in a release, or else
// what Go notes in the binary.
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
