// Package jsonfile reads a JSON file on which the start of a container depends, returns errors that name a place in it,
// and replaces it.
//
// It knows how to open such a file (without blocking, only a regular file of limited size), how to report an error
// (file, line, column, problem, JSON pointer, remedy), and how to replace the file atomically. It knows nothing about
// the meaning of the files.
package jsonfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// MaxSize is the maximum size in bytes of a file that is read.
const MaxSize = 64 << 20

// File is a file that has been read completely.
type File struct {
	Path string      // the path as the caller gave it, for messages
	Data []byte      // the content
	Stat unix.Stat_t // the status of the opened file; zero if the file was never opened (tests, fuzzing)
}

// Error is an error about a file, or about a place in it.
type Error struct {
	Path    string           // the path as the caller gave it
	Line    int              // from 1; 0 if the error is about the whole file
	Column  int              // in characters, from 1
	Pointer jsontext.Pointer // the JSON value that the error is about; may be empty
	Problem string           // what is wrong
	Remedy  string           // what to do; may be empty
	Err     error            // the cause, if it is another package's error; its text is part of Problem
}

// Error returns `FILE:LINE:COLUMN: problem (/json/pointer); remedy`.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": " + e.Problem)
	if e.Pointer != "" {
		fmt.Fprintf(&b, " (%s)", e.Pointer)
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors are all errors about a file, sorted by their places.
type Errors []*Error

// Error returns one line with the first error and the number of the others.
func (e Errors) Error() string {
	switch len(e) {
	case 1:
		return e[0].Error()
	case 2:
		return fmt.Sprintf("%v (and 1 more error: hookctl check %s)", e[0], e[0].Path)
	}
	return fmt.Sprintf("%v (and %d more errors: hookctl check %s)", e[0], len(e)-1, e[0].Path)
}

// Unwrap returns the errors.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, err := range e {
		list[i] = err
	}
	return list
}

// Err returns the errors, sorted by their places, or nil if there are none.
func (e Errors) Err() error {
	switch len(e) {
	case 0:
		return nil
	case 1:
		return e[0]
	}
	slices.SortStableFunc(e, func(a, b *Error) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return e
}

// All returns the errors about a file that err consists of. It converts an error of another kind to one without a path.
func All(err error) Errors {
	var all Errors
	var one *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &all):
		return all
	case errors.As(err, &one):
		return Errors{one}
	}
	return Errors{{Problem: err.Error(), Err: err}}
}

// Read reads the file at path. It returns an error if the file is not regular (a FIFO, a device, a directory), or is
// larger than MaxSize (rule 15). It never waits for a writer.
func Read(path string) (*File, error) {
	fd, err := openFile(unix.AT_FDCWD, path, 0)
	if err != nil {
		return nil, unreadable(path, "cannot be opened", err)
	}
	defer unix.Close(fd)
	f := &File{Path: path}
	if err := unix.Fstat(fd, &f.Stat); err != nil {
		return nil, unreadable(path, "cannot be examined", err)
	}
	if f.Stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &Error{Path: path, Problem: "is not a regular file", Remedy: "correct the path, or put the file there"}
	}
	if f.Stat.Size > MaxSize {
		return nil, tooLarge(path)
	}
	// One byte more than the size, so that the buffer need not grow to find the end of the file.
	f.Data = make([]byte, 0, f.Stat.Size+1)
	for {
		if len(f.Data) == cap(f.Data) {
			f.Data = append(f.Data, 0)[:len(f.Data)]
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, f.Data[len(f.Data):cap(f.Data)]) })
		switch {
		case err != nil:
			return nil, unreadable(path, "cannot be read", err)
		case n == 0:
			return f, nil
		}
		f.Data = f.Data[:len(f.Data)+n]
		if len(f.Data) > MaxSize { // it grew while it was read
			return nil, tooLarge(path)
		}
	}
}

func tooLarge(path string) *Error {
	return &Error{Path: path, Problem: fmt.Sprintf("is larger than %d MiB", MaxSize>>20), Remedy: "correct the path, or make the file smaller"}
}

// openFile opens a file for reading, without waiting for a writer.
func openFile(dir int, path string, flags int) (int, error) {
	return retry(func() (int, error) {
		return unix.Openat(dir, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY|flags, 0)
	})
}

// retry calls f until no signal interrupts it. Signals can interrupt a slow file system (NFS, FUSE).
func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

func unreadable(path, what string, err error) *Error {
	plain := report.Plain(err)
	return &Error{Path: path, Problem: what + ": " + plain.Error(), Remedy: report.Remedy(err), Err: plain}
}

// RelativeRemedy returns the remedy for a relative path on a command line that leads to no file. It returns "" if the
// path is absolute.
func RelativeRemedy(path string) string {
	if filepath.IsAbs(path) {
		return ""
	}
	return "give the whole path: engines choose the working directory, from which a relative one is looked up"
}

// RefuseUntrusted returns an error if the file is world-writable and the effective user is root: then every user could
// run hooks as root (rule 16). It is only a tripwire, because it does not check the directories of the path.
func (f *File) RefuseUntrusted() error {
	if f.Stat.Mode&unix.S_IWOTH == 0 || unix.Geteuid() != 0 {
		return nil
	}
	return &Error{Path: f.Path, Problem: "anyone may write to it, and its hooks run as root",
		Remedy: "run: chmod o-w " + f.Path}
}

// At returns an error about the value at pointer, which begins at a byte offset.
func (f *File) At(offset int, pointer jsontext.Pointer, problem, remedy string) *Error {
	before := f.Data[:min(max(offset, 0), len(f.Data))]
	lineStart := bytes.LastIndexByte(before, '\n') + 1
	return &Error{
		Path:    f.Path,
		Line:    bytes.Count(before, []byte{'\n'}) + 1,
		Column:  utf8.RuneCount(before[lineStart:]) + 1,
		Pointer: shortened(pointer),
		Problem: problem,
		Remedy:  remedy,
	}
}

// shortened returns a pointer that fits into a message. It truncates the pointer to a value that is thousands of levels
// deep.
func shortened(pointer jsontext.Pointer) jsontext.Pointer {
	const most = 256
	if len(pointer) <= most {
		return pointer
	}
	head := pointer[:most]
	return head[:max(strings.LastIndexByte(string(head), '/'), 0)] + "/..."
}

// syntax converts an error of jsontext's decoder to one that names the place and the probable mistake. The error wraps
// io.ErrUnexpectedEOF if the file is empty or ends too early, like a file that is half-written.
func (f *File) syntax(err error) error {
	var at *jsontext.SyntacticError
	switch {
	case errors.As(err, &at) && at.Err != io.ErrUnexpectedEOF:
		problem := at.Err.Error()
		return f.At(int(at.ByteOffset), at.JSONPointer, "not valid JSON: "+problem, f.syntaxRemedy(int(at.ByteOffset), problem))
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		early := &Error{Path: f.Path, Problem: "is empty", Remedy: "write the file, or restore it"}
		if text := bytes.TrimRight(f.Data, " \t\r\n"); len(text) > 0 {
			early = f.At(len(text), "", "not valid JSON: the file ends too early", f.unclosed()+"restore the rest of the file")
		}
		early.Err = io.ErrUnexpectedEOF
		return early
	}
	return &Error{Path: f.Path, Problem: err.Error(), Remedy: "write it as JSON", Err: err}
}

// unclosed returns the beginning of a remedy for a file that ends too early: it names the bracket or the quotation mark
// that is open at the end. It returns "" if none is.
func (f *File) unclosed() string {
	var open []int // offsets
	inString := false
	for i := 0; i < len(f.Data); i++ {
		switch c := f.Data[i]; {
		case c == '\\' && inString:
			i++
		case c == '"' && inString, (c == '}' || c == ']') && !inString && len(open) > 0:
			open, inString = open[:len(open)-1], false
		case c == '"', (c == '{' || c == '[') && !inString:
			open, inString = append(open, i), c == '"'
		}
	}
	if len(open) == 0 {
		return ""
	}
	last := open[len(open)-1]
	at := f.At(last, "", "", "")
	return fmt.Sprintf("close the %c of line %d, column %d, or ", f.Data[last], at.Line, at.Column)
}
