package hooklog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// maxLine is the size in bytes of the longest line that is read: more than a record can have.
const maxLine = 1 << 20

// Read calls each for every record in the file at path and in those that it was before, oldest first. It returns how many
// lines it passed over because they hold no record: a process was killed, or a disk was full, while it was written. It is
// no error if there is no file yet.
func Read(path string, each func(*Record) error) (torn int, err error) {
	files, err := openAll(path)
	defer closeAll(files)
	if err != nil {
		return 0, err
	}
	lines := lines{each: each}
	for _, f := range files {
		if err := lines.readFrom(f); err != nil {
			return lines.torn, err
		}
		if err := lines.end(); err != nil {
			return lines.torn, err
		}
	}
	return lines.torn, nil
}

// Follow does as Read, and then calls each for every record that is appended, until ctx ends.
func Follow(ctx context.Context, path string, each func(*Record) error) (torn int, err error) {
	lines := lines{each: each}
	var known []*os.File // oldest first; the last one is appended to
	defer func() { closeAll(known) }()
	for {
		files, err := openAll(path)
		if err != nil {
			closeAll(files)
			return lines.torn, err
		}
		if known, err = lines.readOn(known, files); err != nil {
			return lines.torn, err
		}
		select {
		case <-ctx.Done():
			return lines.torn, nil
		case <-time.After(followPause):
		}
	}
}

// followPause is how often Follow looks for more.
const followPause = 250 * time.Millisecond

// readOn reads what has been appended to the last of the files that are known, and those of files that are not, oldest first.
// It returns the files that are known from then on, open: as long as they are, no other file has their numbers.
func (l *lines) readOn(known, files []*os.File) (_ []*os.File, err error) {
	var current *os.File
	if len(known) > 0 {
		current = known[len(known)-1]
	}
	var still, fresh []*os.File
	for _, f := range files {
		if at := slices.IndexFunc(known, sameFile(f)); at >= 0 {
			still = append(still, known[at])
			f.Close()
		} else {
			fresh = append(fresh, f)
		}
	}
	for _, f := range fresh {
		if current != nil {
			err = cmp.Or(err, l.readFrom(current), l.end())
		}
		current = f
	}
	if current != nil {
		err = cmp.Or(err, l.readFrom(current))
	}
	still = append(still, fresh...)
	if current != nil && !slices.Contains(still, current) {
		still = append(still, current) // it was removed, and nothing has been written since
	}
	closeAll(slices.DeleteFunc(known, func(f *os.File) bool { return slices.Contains(still, f) }))
	return still, err
}

// sameFile returns a function that reports whether a file is f.
func sameFile(f *os.File) func(*os.File) bool {
	this, err := f.Stat()
	return func(other *os.File) bool {
		st, otherErr := other.Stat()
		return err == nil && otherErr == nil && os.SameFile(st, this)
	}
}

// openAll opens the records' files, oldest first, as they are between two rotations.
func openAll(path string) (files []*os.File, err error) {
	dir, err := openDir(filepath.Dir(path))
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.close()
	name := filepath.Base(path)
	if _, err := dir.lock(name, unix.LOCK_SH, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	for n := Kept; n >= 0; n-- {
		fd, err := dir.openFile(rotated(name, n), unix.O_RDONLY)
		switch {
		case errors.Is(err, unix.ENOENT):
		case err != nil:
			return files, err
		default:
			files = append(files, os.NewFile(uintptr(fd), filepath.Join(dir.path, rotated(name, n))))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// lines takes a file's bytes, in pieces.
type lines struct {
	each    func(*Record) error
	rest    []byte // of a line whose end is not yet there
	tooLong bool   // the line is passed over
	torn    int
}

func (l *lines) readFrom(f *os.File) error {
	if _, err := io.Copy(l, f); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// Write takes a piece.
func (l *lines) Write(piece []byte) (int, error) {
	for rest := piece; ; {
		before, after, ended := bytes.Cut(rest, []byte{'\n'})
		if len(l.rest)+len(before) > maxLine {
			l.rest, l.tooLong = l.rest[:0], true
		} else if !l.tooLong {
			l.rest = append(l.rest, before...)
		}
		if !ended {
			return len(piece), nil
		}
		if err := l.end(); err != nil {
			return 0, err
		}
		rest = after
	}
}

// end ends a line.
func (l *lines) end() error {
	line, tooLong := l.rest, l.tooLong
	l.rest, l.tooLong = l.rest[:0], false
	if !tooLong && len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	if !tooLong {
		if r, err := parse(line); err == nil {
			return l.each(r)
		}
	}
	l.torn++
	return nil
}
