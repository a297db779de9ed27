package ui

import "strings"

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
