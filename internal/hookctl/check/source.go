package check

import (
	"bytes"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
)

// source is a file that has been read. It finds places without counting lines and columns from the beginning of the file. So many
// findings in one long file or line cost no more than one finding each in many files.
type source struct {
	*jsonfile.File
	text  string // its bytes again, as a string of which findings hold parts
	marks []mark // in order: the beginning of each line, and about every markEvery bytes in a long line
}

// mark is a place in a file.
type mark struct {
	offset, line, column int // line and column from 1
	start                int // the offset at which the line begins
}

// markEvery is the approximate number of bytes between marks in a line.
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

// place is a problem at a place in a file, with the line.
type place struct {
	*jsonfile.Error
	text   string // the line; empty for the file as a whole
	offset int    // of the place in text, in bytes
}

// at returns the place at an offset in bytes.
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
