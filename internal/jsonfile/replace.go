package jsonfile

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// ErrChanged is the error if a file is not, or no longer, the one that was read.
var ErrChanged = errors.New("it is another file than the one that was read")

// Place is where a file is: its directory, which is open, and its name there, after all links.
type Place struct {
	dir  int
	base string
}

// maxLock is how long Lock waits.
const maxLock = 2 * time.Second

// Lock opens the file's place, and waits until no other process that calls it replaces a file in the same directory.
// The caller must call Unlock. The lock is the kernel's (flock(2)), and ends with the process or with Unlock. There is no
// lock if the file system has none (NFS) or the directory is unreadable. Any process that can read the directory can hold
// the lock, so Lock waits at most maxLock, and then returns without the lock.
func (f *File) Lock() (Place, error) {
	p, err := openPlace(f.Path)
	if err != nil {
		return p, failed("its directory cannot be opened", err)
	}
	for end := time.Now().Add(maxLock); ; time.Sleep(time.Millisecond) {
		err := unix.Flock(p.dir, unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK && err != unix.EINTR || time.Now().After(end) {
			return p, nil
		}
	}
}

// Unlock closes the place.
func (p Place) Unlock() { unix.Close(p.dir) }

// Replace replaces f, the file at the place, by text, atomically: at any moment, even if this process is killed, the file
// has either the old bytes or the new ones. Replace keeps the mode, the owner and the extended attributes (including the
// SELinux label and ACLs). If another file is at the place, or the file was written to since it was read, Replace changes
// nothing and returns ErrChanged. (There are two system calls between the last check and the replacement. The lock
// protects from others that take it.)
//
// After a failure, the file is unchanged and there is no temporary file. A kill may leave a temporary file, which
// prevents nothing.
func (p Place) Replace(f *File, text Text) error {
	if text.exceedsLimit() {
		return failed("the new text cannot be written", unix.EFBIG)
	}
	old, err := openFile(p.dir, p.base, unix.O_NOFOLLOW)
	if err != nil {
		return failed("it cannot be opened again", err)
	}
	defer unix.Close(old)
	if same, err := f.isStill(func(st *unix.Stat_t) error { return unix.Fstat(old, st) }); err != nil || !same {
		return cmp.Or(failed("it cannot be examined", err), ErrChanged)
	}
	fd, temp, err := p.createBeside()
	if err != nil {
		return failed("no file can be created beside it", err)
	}
	err = writeAll(fd, text)
	if err == nil {
		err = f.dress(fd, old)
	}
	if closeErr := unix.Close(fd); err == nil { // a network file system reports a full disk here
		err = failed("the new text cannot be written", closeErr)
	}
	if err == nil {
		err = p.rename(temp, f)
	}
	if err != nil {
		if leftErr := failed("its temporary file "+temp+" cannot be removed", unix.Unlinkat(p.dir, temp, 0)); leftErr != nil {
			err = fmt.Errorf("%w; and %w", err, leftErr)
		}
	}
	return err
}

// rename renames temp, a file in the same directory, to the place's file, if that is still f.
func (p Place) rename(temp string, f *File) error {
	same, err := f.isStill(func(st *unix.Stat_t) error { return unix.Fstatat(p.dir, p.base, st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil || !same {
		return cmp.Or(failed("it cannot be examined", err), ErrChanged)
	}
	return failed("the new file cannot be renamed", unix.Renameat(p.dir, temp, p.dir, p.base))
}

// isStill reports whether stat returns the file that was read, unchanged. The inode number is not sufficient, because
// it may be reused.
func (f *File) isStill(stat func(*unix.Stat_t) error) (bool, error) {
	var st unix.Stat_t
	err := stat(&st)
	return st.Dev == f.Stat.Dev && st.Ino == f.Stat.Ino && st.Ctim == f.Stat.Ctim && st.Mtim == f.Stat.Mtim && st.Size == f.Stat.Size, err
}

// maxLinks is the number of links that the kernel follows (path_resolution(7)).
const maxLinks = 40

// openPlace opens the place of the file that path leads to. A path through /proc into another mount namespace stays
// there, because only the kernel can follow it.
func openPlace(path string) (Place, error) {
	p := Place{dir: unix.AT_FDCWD}
	for range maxLinks {
		var parent string
		parent, p.base = filepath.Split(path)
		if parent == "" {
			parent = "."
		}
		next, err := openDir(p.dir, parent)
		if p.dir >= 0 {
			unix.Close(p.dir)
		}
		if err != nil {
			return p, err
		}
		p.dir = next
		_, err = unix.Readlinkat(p.dir, p.base, make([]byte, 1))
		if err == nil {
			path, err = readLink(p.dir, p.base)
		}
		switch {
		case err == unix.EINVAL, err == unix.ENOENT: // no link, or nothing
			return p, nil
		case err != nil:
			unix.Close(p.dir)
			return p, err
		}
	}
	unix.Close(p.dir)
	return p, unix.ELOOP
}

// openDir opens a directory. If it is unreadable, the descriptor can only be used to reach files in it (O_PATH).
func openDir(dir int, path string) (int, error) {
	const flags = unix.O_DIRECTORY | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, path, unix.O_RDONLY|flags, 0)
	if err == unix.EACCES {
		fd, err = unix.Openat(dir, path, unix.O_PATH|flags, 0)
	}
	return fd, err
}

// readLink returns the target of a link in an open directory. It is a separate function, because most calls meet no
// link, and the stack must grow for the buffer.
//
//go:noinline
func readLink(dir int, name string) (target string, err error) {
	path := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, path)
	return string(path[:max(n, 0)]), err
}

// failed returns an error that says what failed and why, or nil if err is nil.
func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, report.Plain(err))
}

// createBeside creates a temporary file beside the place's file, so that it can be renamed. It skips a name that a killed
// process has left.
func (p Place) createBeside() (fd int, name string, err error) {
	for n := 0; ; n++ {
		name = "." + p.base + "." + strconv.Itoa(unix.Getpid()) + "-" + strconv.Itoa(n) + ".tmp" // fmt is slow the first time
		fd, err = unix.Openat(p.dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err != unix.EEXIST && err != unix.EINTR {
			return fd, name, err
		}
	}
}

func writeAll(fd int, text Text) error {
	for _, piece := range text {
		for len(piece) > 0 {
			n, err := unix.Write(fd, piece)
			if err != nil && err != unix.EINTR {
				return failed("the new text cannot be written", err)
			}
			piece = piece[max(n, 0):]
		}
	}
	return nil
}

// dress copies the owner, the extended attributes and the mode of the old file to the new one, in this order: a change
// of the owner resets mode bits, and an ACL is a part of the mode. It does not set an equal attribute again, so that a
// user without the right to set it (a rootless engine) can replace a file of their own.
func (f *File) dress(fd, oldFile int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed("the new file cannot be examined", err)
	}
	old := &f.Stat
	if st.Uid != old.Uid || st.Gid != old.Gid {
		if err := unix.Fchown(fd, int(old.Uid), int(old.Gid)); err != nil {
			return failed(fmt.Sprintf("its owner %d:%d cannot be kept", old.Uid, old.Gid), err)
		}
	}
	if err := copyAttributes(fd, oldFile); err != nil {
		return err
	}
	return failed("its mode cannot be kept", unix.Fchmod(fd, old.Mode&0o7777))
}

// copyAttributes sets exactly the extended attributes of the old file on the new one.
func copyAttributes(fd, old int) error {
	want, err := readAttributes(old)
	if err != nil {
		return failed("its extended attributes cannot be read", err)
	}
	have, err := readAttributes(fd)
	if err != nil {
		return failed("the new file's extended attributes cannot be read", err)
	}
	for name, value := range want {
		if had, ok := have[name]; ok && had == value {
			continue
		}
		if err := unix.Fsetxattr(fd, name, []byte(value), 0); err != nil {
			return failed("its extended attribute "+name+" cannot be kept", err)
		}
	}
	for name := range have { // such as the directory's default ACL
		if _, ok := want[name]; !ok {
			if err := unix.Fremovexattr(fd, name); err != nil {
				return failed("the new file's extended attribute "+name+" cannot be removed", err)
			}
		}
	}
	return nil
}

// readAttributes returns a file's extended attributes, except the kernel's signatures of the content. It returns none
// for a file system without attributes.
func readAttributes(fd int) (map[string]string, error) {
	names, err := sized(func(b []byte) (int, error) { return unix.Flistxattr(fd, b) })
	if err != nil || len(names) == 0 {
		if err == unix.EOPNOTSUPP {
			err = nil
		}
		return nil, err
	}
	attributes := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		if name == "security.ima" || name == "security.evm" {
			continue
		}
		value, err := sized(func(b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
		if err != nil {
			return nil, err
		}
		attributes[name] = string(value)
	}
	return attributes, nil
}

// sized calls f for the size and then for the bytes. It tries again if they have grown in between.
func sized(f func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := f(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		b := make([]byte, n)
		if n, err = f(b); err != unix.ERANGE {
			return b[:max(n, 0)], err
		}
	}
}
