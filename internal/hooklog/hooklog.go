// Package hooklog writes and reads the file of records of supervised hooks. Each line is one JSON object. The file is
// rotated when it is full.
//
// Many processes append to the file at the same time, and any of them may be killed at any moment. The package does not
// know how a hook is run.
package hooklog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// MaxSize is the maximum size of the file in bytes. A record that would exceed it goes into a new file, and the full
// one is renamed to FILE.1.
const MaxSize = 32 << 20

// Kept is the number of rotated files that are kept. FILE.1 is the newest.
const Kept = 3

// lockTime is how long Append waits for other writers. A writer may be stopped while it holds the lock.
const lockTime = 2 * time.Second

// Append appends a record to the file at path. It creates the file (0600) and its directory (0700) if they are missing.
// It writes the record with one write, so that a process that is killed loses at most its own record.
//
// If Append does not get the lock in time, it appends the record without rotating the file. If path is /dev/null, it
// writes no record.
func Append(path string, r *Record) error {
	if path == os.DevNull {
		return nil
	}
	return appendLine(path, r.line(), MaxSize)
}

func appendLine(path string, line []byte, maxSize int64) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s: the path of the records is not absolute", path)
	}
	dir, err := makeDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.close()
	if err := refuseShared(dir.fd, dir.path, "0700"); err != nil {
		return err
	}
	name := filepath.Base(path)
	// A lock is not left beside what cannot hold records.
	var st unix.Stat_t
	if unix.Fstatat(dir.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%s is not a regular file", path)
	}
	locked, err := dir.lock(name, unix.LOCK_EX, unix.O_CREAT)
	if err != nil {
		return err
	}
	fd, size, err := dir.open(name)
	if err != nil {
		return err
	}
	if locked && size > 0 && size+int64(len(line)) > maxSize {
		unix.Close(fd)
		if err := dir.rotate(name); err != nil {
			return err
		}
		if fd, size, err = dir.open(name); err != nil {
			return err
		}
	}
	defer unix.Close(fd)
	if size > 0 {
		// The last writer may have been killed in the middle of its line, or the disk may have been full.
		var last [1]byte
		if _, err := unix.Pread(fd, last[:], size-1); err == nil && last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	n, err := unix.Write(fd, line)
	if err == nil && n < len(line) {
		err = unix.ENOSPC
	}
	if err != nil {
		if locked && n > 0 {
			_ = unix.Ftruncate(fd, size)
		}
		return fmt.Errorf("%s cannot be written: %w", path, report.Plain(err))
	}
	return nil
}

// directory is the open directory of the file of records, the rotated files and the lock file.
type directory struct {
	path   string
	fd     int
	locked int // the open lock; -1 if there is none
}

// makeDir opens the directory at path. It creates the directory if it is missing. For root, the directory in which it is
// must exist: a mistake in a path must not create directories anywhere. The state directory of another user may be
// missing altogether.
func makeDir(path string) (*directory, error) {
	d, err := openDir(path)
	if errors.Is(err, unix.ENOENT) {
		create := os.MkdirAll
		if report.IsRoot() {
			create = os.Mkdir
		}
		if err := create(path, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("%s cannot be created: %w", path, report.Plain(err))
		}
		return openDir(path)
	}
	return d, err
}

func openDir(path string) (*directory, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be opened: %w", path, report.Plain(err))
	}
	return &directory{path: path, fd: fd, locked: -1}, nil
}

// refuseShared returns an error if another user can write to the open file or directory at path. In a directory, that
// user could create links, or hold the lock for which every hook waits. A file that this user has opened would show
// what hooks print. mode is the mode that the remedy names.
func refuseShared(fd int, path, mode string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("%s cannot be examined: %w", path, report.Plain(err))
	}
	if int(st.Uid) != unix.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is writable by other users than %d; run: chown %[2]d %[1]s && chmod %[3]s %[1]s", path, unix.Geteuid(), mode)
	}
	return nil
}

func (d *directory) close() {
	if d.locked >= 0 {
		unix.Close(d.locked)
	}
	unix.Close(d.fd)
}

// lock locks the file of records name; how is LOCK_EX or LOCK_SH. It reports whether it got the lock in time. The lock
// is on a separate file, which other users cannot open, and which is created if flags has O_CREAT. The lock ends with
// the process.
func (d *directory) lock(name string, how, flags int) (locked bool, err error) {
	fd, err := d.openFile("."+name+".lock", unix.O_RDWR|flags)
	if err != nil {
		return false, err
	}
	d.locked = fd
	for {
		switch err := unix.Flock(fd, how|unix.LOCK_NB); err {
		case nil:
			return true, nil
		case unix.EINTR:
			continue
		case unix.EWOULDBLOCK:
		default:
			return false, nil // the file system has no locks
		}
		break
	}
	done := make(chan error, 1)
	go func() {
		err := error(unix.EINTR)
		for err == unix.EINTR {
			err = unix.Flock(fd, how)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err == nil, nil
	case <-time.After(lockTime):
		d.locked = -1 // the goroutine uses the descriptor until the process ends
		return false, nil
	}
}

// open opens the file of records for appending. It returns the descriptor and the file's size.
func (d *directory) open(name string) (fd int, size int64, err error) {
	fd, err = d.openFile(name, unix.O_RDWR|unix.O_APPEND|unix.O_CREAT)
	if err != nil {
		return -1, 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, 0, fmt.Errorf("%s/%s cannot be examined: %w", d.path, name, report.Plain(err))
	}
	return fd, st.Size, nil
}

// openFile opens a regular file in the directory. It returns an error if the file is a link, or, with O_CREAT, if
// another user can write to it.
func (d *directory) openFile(name string, flags int) (int, error) {
	path := filepath.Join(d.path, name)
	fd, err := unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0o600)
	if err != nil {
		return -1, fmt.Errorf("%s cannot be opened: %w", path, report.Plain(err))
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is not a regular file", path)
	}
	if flags&unix.O_CREAT != 0 {
		if err := refuseShared(fd, path, "0600"); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

// rotate renames name to name.1, name.1 to name.2 and so on, up to the first free number. If no number is free, it
// drops the oldest file. A process that is killed during a rotation leaves a free number for the next one.
func (d *directory) rotate(name string) error {
	free := 1
	for free < Kept && unix.Faccessat(d.fd, rotated(name, free), unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) == nil {
		free++
	}
	for n := free; n > 0; n-- {
		if err := unix.Renameat(d.fd, rotated(name, n-1), d.fd, rotated(name, n)); err != nil {
			return fmt.Errorf("%s/%s cannot be renamed: %w", d.path, rotated(name, n-1), report.Plain(err))
		}
	}
	return nil
}

// rotated returns the name of the nth rotated file, or name itself if n is 0.
func rotated(name string, n int) string {
	if n == 0 {
		return name
	}
	return name + "." + strconv.Itoa(n)
}
