// Package system describes the machine that hookctl examines and changes.
//
// It is a value that is passed to everything that reads engines' files, /proc or hookctl's own state, so that tests run
// side by side, each with a machine of its own. It knows no engine and opens nothing.
package system

import (
	"path/filepath"

	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// state is the directory in which hookctl records what it has installed. Tests with real engines set it when they build
// hookctl, as they set the directory of profiles in both programs.
var state = "/var/lib/oci-add-hooks"

// System is a machine.
type System struct {
	Root     string // the root of its file system, below which engines' files and /proc are read
	State    string // the directory in which hookctl records what it has installed, and keeps its lock
	Profiles string // the directory of profiles
}

// Host returns the machine that this process runs on. After a change of its root, it is the machine with that root.
func Host() System {
	return System{Root: "/", State: state, Profiles: profile.Dir}
}

// Path returns the path at which this process opens a path of the machine.
func (s System) Path(path string) string { return filepath.Join(s.Root, path) }

// Profile returns the path of a profile's hook file.
func (s System) Profile(name string) string { return filepath.Join(s.Profiles, name+".json") }
