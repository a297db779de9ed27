package change

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Diff returns the change of a text, as a unified diff; empty if there is none.
func Diff(oldName string, old []byte, newName string, new []byte) string {
	_, unified, _ := strings.Cut(string(diff.Diff(oldName, old, newName, new)), "\n") // after a line for git
	return unified
}
