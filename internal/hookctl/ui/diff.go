package ui

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// UnifiedDiff returns the change of a text, as a unified diff; empty if there is none.
func UnifiedDiff(oldName string, old []byte, newName string, new []byte) string {
	_, unified, _ := strings.Cut(string(diff.Diff(oldName, old, newName, new)), "\n") // after a line for git
	return unified
}

// Diff prints a unified diff.
func (u *UI) Diff(unified string) {
	for line := range strings.Lines(unified) {
		c := Plain
		switch {
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			c = Bold
		case strings.HasPrefix(line, "@@"):
			c = Cyan
		case strings.HasPrefix(line, "-"):
			c = Red
		case strings.HasPrefix(line, "+"):
			c = Green
		}
		u.Printf("%s\n", u.Paint(c, strings.TrimSuffix(line, "\n")))
	}
}
