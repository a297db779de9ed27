package change

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Diff returns the unified diff of a change, empty if there is none.
func Diff(oldName string, old []byte, newName string, new []byte) string {
	_, unified, _ := strings.Cut(string(diff.Diff(oldName, old, newName, new)), "\n") // the line before is for git
	return unified
}
