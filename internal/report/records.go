package report

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Records returns the absolute path of the file that records supervised hooks: below /var/log for root, else below
// $XDG_STATE_HOME or ~/.local/state. A relative variable counts as unset.
func Records() (string, error) {
	const name = "oci-add-hooks/hooks.jsonl"
	if IsRoot() {
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

// IsRoot reports whether the user is root of the host, not only in the user namespace of a rootless engine. There the
// root directory belongs to the user nobody.
func IsRoot() bool {
	var st unix.Stat_t
	return unix.Geteuid() == 0 && unix.Stat("/", &st) == nil && st.Uid == 0
}
