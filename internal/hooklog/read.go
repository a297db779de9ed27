package hooklog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	var current *os.File // the file to which records are appended
	defer func() { closeAll([]*os.File{current}) }()
	for {
		files, err := openAll(path)
		if err == nil && current != nil {
			files, err = since(files, current)
		}
		if err == nil {
			for _, f := range files {
				if current != nil {
					err = errors.Join(err, lines.readFrom(current), lines.end())
					current.Close()
				}
				current = f
			}
			if err == nil && current != nil {
				err = lines.readFrom(current)
			}
		}
		if err != nil {
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

// since returns the files that are newer than current, and closes the others.
func since(files []*os.File, current *os.File) ([]*os.File, error) {
	known, err := current.Stat()
	if err != nil {
		return files, err
	}
	for i, f := range files {
		st, err := f.Stat()
		if err != nil {
			return files, err
		}
		if os.SameFile(st, known) {
			closeAll(files[:i+1])
			return files[i+1:], nil
		}
	}
	return files, nil
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
