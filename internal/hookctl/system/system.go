// Package system describes the machine that hookctl examines and changes.
//
// It is a value that is passed to whatever reads engines' files, /proc or hookctl's own state, so that tests run side by
// side, each on a machine of its own. It knows no engine and opens nothing.
package system

import (
	"path/filepath"

	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// state is the directory in which hookctl remembers what it has installed. Tests on real engines set it when they build
// the program, as they set that of the profiles in both programs.
var state = "/var/lib/oci-add-hooks"

// System is a machine.
type System struct {
	Root     string // the root of its file system, below which engines' files and /proc are looked for
	State    string // the directory in which hookctl remembers what it has installed, and keeps its lock
	Profiles string // the directory of profiles
}

// Host returns the machine that this process runs on: or, after a change of its root, the one whose root that is.
func Host() System {
	return System{Root: "/", State: state, Profiles: profile.Dir}
}

// Path returns the place of a path of the machine, as this process opens it.
func (s System) Path(path string) string { return filepath.Join(s.Root, path) }

// Profile returns the path of a profile's hook file.
func (s System) Profile(name string) string { return filepath.Join(s.Profiles, name+".json") }
