// Package jsonfile reads a JSON file that a container's start depends on, names places in it, and replaces it.
//
// It knows how such a file is opened (without blocking, only if it is a regular file, up to a size), how an error is
// told (file, line, column and JSON pointer, what is wrong, what to do), and how another text takes its place in one
// step. It knows nothing of what the files mean.
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

// MaxSize is the size in bytes of the largest file that is read.
const MaxSize = 64 << 20

// File is a file that has been read whole.
type File struct {
	Path string      // as it was given, for messages
	Data []byte      // its bytes
	Stat unix.Stat_t // of the opened file; zero if the file was never opened (tests, fuzzing)
}

// Error is what is wrong with a file, or at a place in it.
type Error struct {
	Path    string           // the file, as it was given
	Line    int              // from 1; 0 if the file as a whole is meant
	Column  int              // in characters, from 1
	Pointer jsontext.Pointer // the JSON value that is meant; may be empty
	Problem string           // what is wrong
	Remedy  string           // what to do; may be empty
	Err     error            // the cause, if another package's error was; its text is part of Problem
}

// Error gives `FILE:LINE:COLUMN: problem (/json/pointer); remedy`.
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

// Errors is all that is wrong with a file, in the order of the places.
type Errors []*Error

// Error returns the first error in a line, and the number of the others.
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

// Err returns the errors in the order of their places, or nil if there are none.
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

// All returns the errors about a file of which err consists. An error of another kind is one about no file.
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

// Read reads the file at path. A file that is not regular (a FIFO, a device, a folder), or is larger than MaxSize, is
// an error, told without waiting for whoever might write to it.
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
		return nil, &Error{Path: path, Problem: "is not a regular file"}
	}
	if f.Stat.Size > MaxSize {
		return nil, tooLarge(path)
	}
	// One byte more than the size, so that the end of the file is seen without growing the buffer.
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
	return &Error{Path: path, Problem: fmt.Sprintf("is larger than %d MiB", MaxSize>>20)}
}

// openFile opens a file for reading, without waiting for whoever might write to it.
func openFile(dir int, path string, flags int) (int, error) {
	return retry(func() (int, error) {
		return unix.Openat(dir, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY|flags, 0)
	})
}

// retry calls f again as long as a signal interrupts it, which a slow file system (NFS, FUSE) lets happen.
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
	return &Error{Path: path, Problem: what + ": " + plain.Error(), Err: plain}
}

// RelativeRemedy returns what to do about a path on a command line that leads to nothing; "" if it is absolute.
func RelativeRemedy(path string) string {
	if filepath.IsAbs(path) {
		return ""
	}
	return "give the whole path: engines choose the working directory, from which a relative one is looked up"
}

// RefuseUntrusted gives an error if anyone may write to the file and the effective user is root, whom the file would
// then let anyone act for. It is a tripwire: it doesn't look at the folders that lead to the file.
func (f *File) RefuseUntrusted() error {
	if f.Stat.Mode&unix.S_IWOTH == 0 || unix.Geteuid() != 0 {
		return nil
	}
	return &Error{Path: f.Path, Problem: "anyone may write to it, and its hooks run as root",
		Remedy: "run: chmod o-w " + f.Path}
}

// At gives an error about the value that pointer leads to, at a byte offset.
func (f *File) At(offset int, pointer jsontext.Pointer, problem, remedy string) *Error {
	before := f.Data[:min(max(offset, 0), len(f.Data))]
	lineStart := bytes.LastIndexByte(before, '\n') + 1
	return &Error{
		Path:    f.Path,
		Line:    bytes.Count(before, []byte{'\n'}) + 1,
		Column:  utf8.RuneCount(before[lineStart:]) + 1,
		Pointer: pointer,
		Problem: problem,
		Remedy:  remedy,
	}
}

// syntax turns an error of jsontext's decoder into one that names the place and the likely cause. It is
// io.ErrUnexpectedEOF, to errors.Is, if the file is empty or ends too early, as one does that is half written.
func (f *File) syntax(err error) error {
	var at *jsontext.SyntacticError
	switch {
	case errors.As(err, &at) && at.Err != io.ErrUnexpectedEOF:
		problem := at.Err.Error()
		return f.At(int(at.ByteOffset), at.JSONPointer, "not valid JSON: "+problem, f.syntaxRemedy(int(at.ByteOffset), problem))
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		if len(bytes.TrimSpace(f.Data)) == 0 {
			return &Error{Path: f.Path, Problem: "is empty", Err: io.ErrUnexpectedEOF}
		}
		early := f.At(len(f.Data), "", "not valid JSON: the file ends too early", "")
		early.Err = io.ErrUnexpectedEOF
		return early
	}
	return &Error{Path: f.Path, Problem: err.Error(), Err: err}
}

// syntaxRemedy returns what to do about the text at an offset, where the JSON stops being valid: the mistakes that
// people make, from what stands there.
func (f *File) syntaxRemedy(offset int, problem string) string {
	at := f.Data[min(offset, len(f.Data)):]
	next := byte(0)
	if len(at) > 0 {
		next = at[0]
	}
	starts := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return bytes.HasPrefix(at, []byte(prefix)) })
	}
	const plainJSON = "JSON has no comments, and no comma after the last of a list"
	switch {
	case bytes.HasPrefix(f.Data, []byte("\xef\xbb\xbf")):
		return "the file begins with a byte order mark: save it as UTF-8 without one"
	case bytes.IndexByte(f.Data, 0) >= 0, next >= utf8.RuneSelf && !utf8.Valid(f.Data):
		return "save the file as UTF-8"
	case starts("'"):
		return "write strings in double quotes"
	case starts("\n", "\r", "\t"):
		return `a line break in a string is written \n, a tab \t`
	case starts("\u201c", "\u201d", "\u2018", "\u2019"):
		return `write strings in plain double quotes: "`
	case starts("//", "/*", "#", ","):
		return plainJSON
	case strings.Contains(problem, "escape sequence"), strings.Contains(problem, "surrogate pair"):
		return `a backslash in a string is written \\`
	case strings.Contains(problem, "max depth"):
		return "no runtime needs it as deep as this"
	case strings.Contains(problem, "in literal"), strings.Contains(problem, "start of value") && isLetter(next):
		return "write names and strings in double quotes, and true, false and null in lower case"
	case starts("}", "]") && strings.Contains(problem, "start of value"):
		return "a value is missing before it"
	case starts("}", "]") && !strings.Contains(problem, "after object name"):
		return "close what was opened last: { with }, [ with ]"
	case offset > 0 && f.Data[offset-1] == '0' && '0' <= next && next <= '9':
		return "write numbers without zeros before them"
	case strings.Contains(problem, "after object name"):
		return "put a colon before it"
	case strings.Contains(problem, "after object value"), strings.Contains(problem, "after array element"):
		return "put a comma before it"
	}
	return plainJSON
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
