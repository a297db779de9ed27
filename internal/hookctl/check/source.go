package check

import (
	"bytes"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// source is a file that has been read. Places in it are found without counting lines and columns from its beginning, so
// that many findings in a long file, or in a long line, cost no more than many files with one.
type source struct {
	*jsonfile.File
	text  string // its bytes once more: findings hold parts of it
	marks []mark // in order: the beginning of each line, and in long lines a place every so often
}

// mark is a place in a file.
type mark struct {
	offset, line, column int // line and column from 1
	start                int // the offset at which the line begins
}

// markEvery is how many bytes lie between marks in a line, roughly.
const markEvery = 512

func newSource(file *jsonfile.File) *source {
	s := &source{File: file, text: string(file.Data)}
	last := mark{line: 1, column: 1}
	s.marks = append(s.marks, last)
	for rest := file.Data; len(rest) > 0; {
		offset := len(file.Data) - len(rest)
		n := min(len(rest), markEvery)
		if eol := bytes.IndexByte(rest[:n], '\n'); eol >= 0 {
			n = eol + 1
			last = mark{offset + n, last.line + 1, 1, offset + n}
		} else {
			for n < len(rest) && !utf8.RuneStart(rest[n]) && rest[n] != '\n' {
				n++
			}
			last = mark{offset + n, last.line, last.column + utf8.RuneCount(rest[:n]), last.start}
		}
		s.marks = append(s.marks, last)
		rest = rest[n:]
	}
	return s
}

// place is what is wrong at a place in a file, and the line.
type place struct {
	*jsonfile.Error
	text   string // the line; empty if the file as a whole is meant
	offset int    // of the place in text
}

// at returns a place at an offset.
func (s *source) at(offset int, pointer jsontext.Pointer, problem, remedy string) place {
	offset = min(max(offset, 0), len(s.text))
	m := s.marks[sort.Search(len(s.marks), func(i int) bool { return s.marks[i].offset > offset })-1]
	return place{
		Error: &jsonfile.Error{
			Path: s.Path, Line: m.line, Column: m.column + utf8.RuneCountInString(s.text[m.offset:offset]),
			Pointer: pointer, Problem: problem, Remedy: remedy,
		},
		text: s.line(m.start), offset: offset - m.start,
	}
}

// line returns the line that begins at an offset.
func (s *source) line(start int) string {
	line, _, _ := strings.Cut(s.text[start:], "\n")
	return strings.TrimSuffix(line, "\r")
}

// locate returns the place that an error names.
func (s *source) locate(err *jsonfile.Error) place {
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].line >= err.Line })
	if err.Line == 0 || i == len(s.marks) {
		return place{Error: err}
	}
	p := place{Error: err, text: s.line(s.marks[i].start)}
	for n := err.Column - 1; n > 0 && p.offset < len(p.text); n-- {
		_, size := utf8.DecodeRuneInString(p.text[p.offset:])
		p.offset += size
	}
	return p
}
