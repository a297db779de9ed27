// Package jsonfile reads a JSON file that a container's start depends on, names places in it, and replaces it.
//
// It knows how such a file is opened (without blocking, only if it is a regular file, up to a size), how an error is
// told (file, line, column and JSON pointer, what is wrong, what to do), and how another text takes its place in one
// step. It knows nothing of what the files mean.
package jsonfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Read reads the file at path. A file that is not regular (a FIFO, a device, a folder), or is larger than MaxSize, is
// an error, told without waiting for whoever might write to it.
func Read(path string) (*File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	})
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
	tooLarge := &Error{Path: path, Problem: fmt.Sprintf("is larger than %d MiB", MaxSize>>20)}
	if f.Stat.Size > MaxSize {
		return nil, tooLarge
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
			return nil, tooLarge
		}
	}
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

// RefuseUntrusted gives an error if anyone may write to the file and the effective user is root, whom the file would
// then let anyone act for. It is a tripwire: it doesn't look at the folders that lead to the file.
func (f *File) RefuseUntrusted() error {
	if f.Stat.Mode&unix.S_IWOTH == 0 || unix.Geteuid() != 0 {
		return nil
	}
	return &Error{Path: f.Path, Problem: "anyone may write to it, and its hooks run as root",
		Remedy: "take that right away: chmod o-w " + f.Path}
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

// syntax turns an error of jsontext's decoder into one that names the place. It is io.ErrUnexpectedEOF, to errors.Is, if
// the file is empty or ends too early, as one does that is half written.
func (f *File) syntax(err error) error {
	var at *jsontext.SyntacticError
	switch {
	case errors.As(err, &at) && at.Err == jsontext.ErrDuplicateName:
		return f.At(int(at.ByteOffset), at.JSONPointer,
			fmt.Sprintf("member %q is given twice", at.JSONPointer.LastToken()), "take one of them out")
	case errors.As(err, &at) && at.Err != io.ErrUnexpectedEOF:
		return f.At(int(at.ByteOffset), at.JSONPointer, "not valid JSON: "+at.Err.Error(), "")
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
