package ui

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
)

// FindingsToStderr prints findings on standard error, for a command whose result is something else.
func (u *UI) FindingsToStderr(findings []check.Finding) {
	onStderr := New(u.In, u.err, u.err)
	onStderr.Findings(findings)
	_ = onStderr.Flush() // there is no place to report it
}

// Findings prints findings, each followed by an empty line.
func (u *UI) Findings(findings []check.Finding) {
	for _, f := range findings {
		place := f.File
		if f.Line > 0 {
			place += fmt.Sprintf(":%d:%d", f.Line, f.Column)
		}
		severity := Yellow
		if f.Severity == check.Error {
			severity = Red
		}
		pointer := ""
		if f.Pointer != "" {
			pointer = " (" + f.Pointer + ")"
		}
		u.Printf("%s: %s %s%s\n", u.Paint(Bold, place), u.Paint(severity, string(f.Severity)+":"), Escape(f.Problem), u.Paint(Dim, pointer))
		if f.Line > 0 {
			u.excerpt(f.Text, f.Offset, severity)
		}
		if f.Hint != "" {
			u.Printf("  %s %s\n", u.Paint(Cyan, "hint:"), Escape(f.Hint))
		}
		u.Printf("\n")
	}
}

// excerptWidth is how much is shown of a line, in characters.
const excerptWidth = 100

// excerpt prints the line of a file, with a caret below the character at offset.
func (u *UI) excerpt(line string, offset int, caret Colour) {
	offset = min(offset, len(line))
	start, end := 0, len(line)
	// A line may be as long as a file, and have thousands of findings: no more of it is looked at than is shown.
	if len(line) > utf8.UTFMax*excerptWidth || utf8.RuneCountInString(line) > excerptWidth {
		start = offset
		for n := 0; start > 0 && n < excerptWidth/2; n++ {
			_, size := utf8.DecodeLastRuneInString(line[:start])
			start -= size
		}
		end = start
		for n := 0; end < len(line) && n < excerptWidth; n++ {
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
