package report

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Records returns the path of the file in which supervised hooks are recorded: below /var/log for root, else below
// $XDG_STATE_HOME or ~/.local/state, which are absolute.
func Records() (string, error) {
	const name = "oci-add-hooks/hooks.jsonl"
	if isRoot() {
		return "/var/log/" + name, nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, name), nil
	}
	if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local/state", name), nil
	}
	return "", errors.New("no directory for the records is known; set XDG_STATE_HOME or HOME")
}

// isRoot reports whether the user is root to the whole file system, and not only in the user namespace of a rootless
// engine, where nobody owns the root directory.
func isRoot() bool {
	var st unix.Stat_t
	return unix.Geteuid() == 0 && unix.Stat("/", &st) == nil && st.Uid == 0
}
