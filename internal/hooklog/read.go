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

// maxLine is the maximum size in bytes of a line that is read. No record is as long.
const maxLine = 1 << 20

// Read calls each for every record in the rotated files and in the file at path, oldest first. It returns the number of
// torn lines, which it skips: they hold no valid record, because a process was killed, or the disk was full, during the
// write. A missing file is not an error.
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

// Follow does what Read does, and then calls each for every record that is appended, until ctx ends.
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

// followPause is the time between two looks of Follow for more records.
const followPause = 250 * time.Millisecond

// readOn reads the records that were appended to the last known file, and then the new files, oldest first. It returns
// the files that are now known. They stay open, so that no other file gets their inode numbers.
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

// openAll opens the rotated files and the file of records, oldest first. It holds the lock meanwhile, so that no
// rotation happens.
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

// lines splits the bytes of the files, which it gets in pieces, into lines.
type lines struct {
	each    func(*Record) error
	rest    []byte // the beginning of an incomplete line
	tooLong bool   // the line is longer than maxLine and is skipped
	torn    int
}

func (l *lines) readFrom(f *os.File) error {
	if _, err := io.Copy(l, f); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// Write reads the lines of the next piece.
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

// end parses the current line and begins a new one.
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
