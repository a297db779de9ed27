package check

import (
	"cmp"
	"slices"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // no container starts with it: the runtime refuses it, or a hook cannot be executed
	Warning Severity = "warning" // it works, but is probably a mistake
)

// Refused is the kind of an error for which the runtime refuses the file. Other errors may go away without a change to the file,
// for example when a program is installed.
const Refused = "refused"

// Finding is one mistake.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"`    // from 1; 0 for the file as a whole
	Column   int      `json:"column,omitempty"`  // in characters, from 1
	Pointer  string   `json:"pointer,omitempty"` // to the JSON value
	Severity Severity `json:"severity"`
	Kind     string   `json:"kind"` // what the finding is about: a word that does not change between versions; Refused for the runtime's errors
	Problem  string   `json:"problem"`
	Hint     string   `json:"hint,omitempty"` // the remedy
	Text     string   `json:"-"`              // the line
	Offset   int      `json:"-"`              // of the column in Text, in bytes
}

// fail notes errors that the runtime itself would return.
func (c *checker) fail(err error) {
	for _, at := range jsonfile.All(err) {
		p := place{Error: at}
		if file, err := c.read(at.Path); err == nil {
			p = file.locate(at)
		}
		c.note(Error, Refused, p)
	}
}

// warn notes a warning about a value, or about the whole file if n stands for it.
func (c *checker) warn(kind string, n *node, problem, hint string) {
	c.noteAt(Warning, kind, n, problem, hint)
}

func (c *checker) noteAt(severity Severity, kind string, n *node, problem, hint string) {
	at := place{Error: &jsonfile.Error{Path: n.file.Path, Problem: problem, Remedy: hint}}
	if !n.whole {
		at = n.file.at(n.start, n.pointer, problem, hint)
	}
	c.note(severity, kind, at)
}

// warnName notes a warning about the name of a member.
func (c *checker) warnName(kind string, n *node, problem, hint string) {
	c.note(Warning, kind, n.file.at(n.name, n.pointer, problem, hint))
}

// sorted returns the result. Findings are grouped by file and sorted by line and column.
func (c *checker) sorted() Result {
	order := map[string]int{}
	for _, f := range c.result.Findings {
		if _, seen := order[f.File]; !seen {
			order[f.File] = len(order)
		}
	}
	slices.SortStableFunc(c.result.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return c.result
}

func (c *checker) note(severity Severity, kind string, at place) {
	if c.broken && severity != Error {
		return
	}
	f := Finding{File: at.Path, Line: at.Line, Column: at.Column, Pointer: string(at.Pointer),
		Severity: severity, Kind: kind, Problem: at.Problem, Hint: at.Remedy, Text: at.text, Offset: at.offset}
	if same := at.Error.Error() + kind; !c.told[same] {
		c.told[same] = true
		c.result.Findings = append(c.result.Findings, f)
	}
}
