package ui

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
)

// FindingsToStderr prints findings on standard error, for a command whose result is something else.
func (u *UI) FindingsToStderr(findings []check.Finding) {
	onStderr := New(u.err, u.err)
	onStderr.Findings(findings)
	_ = onStderr.Flush() // an error of standard error cannot be reported
}

// Findings prints findings, each followed by an empty line.
func (u *UI) Findings(findings []check.Finding) {
	for _, f := range findings {
		place := f.File + ":"
		if f.Line > 0 {
			place += fmt.Sprintf("%d:%d:", f.Line, f.Column)
		}
		severity := Yellow
		if f.Severity == check.Error {
			severity = Red
		}
		pointer := ""
		if f.Pointer != "" {
			pointer = "(" + f.Pointer + ")"
		}
		u.flow(0, Bold.Cell(place), severity.Cell(string(f.Severity)+":"), Plain.Cell(f.Problem), Dim.Cell(pointer))
		if f.Line > 0 {
			u.excerpt(f.Text, f.Offset, severity)
		}
		if f.Hint != "" {
			u.flow(2, Cyan.Cell("hint:"), Plain.Cell(f.Hint))
		}
		u.Printf("\n")
	}
}

// The most and the least of a line that an excerpt shows, and its indent, in characters.
const (
	excerptWidth  = 100
	minExcerpt    = 20
	excerptIndent = 4
)

// excerpt prints the line of a file, with a caret below the character at offset.
func (u *UI) excerpt(line string, offset int, caret Colour) {
	offset = min(offset, len(line))
	room := excerptWidth
	if width := u.width(); width > 0 {
		room = max(min(room, width-excerptIndent), minExcerpt)
		if blank := len(line) - len(strings.TrimLeft(line, " \t")); blank <= offset { // the width of a tab is not known
			line, offset = line[blank:], offset-blank
		}
	}
	start, end := 0, len(line)
	// A line may be as long as a file and have thousands of findings. So only the part that is shown is examined.
	if len(line) > utf8.UTFMax*room || utf8.RuneCountInString(line) > room {
		start = offset
		for n := 0; start > 0 && n < room/2; n++ {
			_, size := utf8.DecodeLastRuneInString(line[:start])
			start -= size
		}
		end = start
		for n := 0; end < len(line) && n < room; n++ {
			_, size := utf8.DecodeRuneInString(line[end:])
			end += size
		}
	}
	blank := func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}
	u.Printf("    %s\n", Escape(line[start:end]))
	u.Printf("    %s%s\n", strings.Map(blank, Escape(line[start:offset])), u.Paint(caret, "^"))
}
