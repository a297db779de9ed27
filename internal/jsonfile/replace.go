package jsonfile

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Replace puts data in the place of the file, in one step: whoever opens it, and whenever this process is killed, there
// are the old bytes or the new ones. A symbolic link is followed. Mode, owner and extended attributes (the SELinux
// label and ACLs among them) are kept. The new bytes are synced to disk only if durable is given.
//
// A failure leaves the file as it was and nothing beside it; a kill may leave a temporary file, which is in nobody's way.
func (f *File) Replace(data []byte, durable bool) error {
	target, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return failed("its link cannot be followed", err)
	}
	fd, temp, err := createBeside(target)
	if err != nil {
		return failed("no file can be created beside it", err)
	}
	err = writeAll(fd, data)
	if err == nil {
		err = f.dress(fd, target)
	}
	if err == nil && durable {
		err = failed("the new text cannot be synced to disk", unix.Fsync(fd))
	}
	if closeErr := unix.Close(fd); err == nil { // where a network file system tells of a full disk
		err = failed("the new text cannot be written", closeErr)
	}
	if err == nil {
		err = failed("the new file cannot be renamed", unix.Rename(temp, target))
	}
	if err != nil {
		if leftErr := failed("its temporary file "+temp+" cannot be removed", unix.Unlink(temp)); leftErr != nil {
			err = fmt.Errorf("%w; and %w", err, leftErr)
		}
	}
	return err
}

// failed says what failed and why, if anything did.
func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, report.Plain(err))
}

// createBeside creates a file in the folder of target, so that it can be renamed. A name that a killed process left
// behind is passed over.
func createBeside(target string) (fd int, path string, err error) {
	dir, base := filepath.Split(target)
	for n := 0; ; n++ {
		path = fmt.Sprintf("%s.%s.%d-%d.tmp", dir, base, unix.Getpid(), n)
		fd, err = unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err != unix.EEXIST && err != unix.EINTR {
			return fd, path, err
		}
	}
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil && err != unix.EINTR {
			return failed("the new text cannot be written", err)
		}
		data = data[max(n, 0):]
	}
	return nil
}

// dress gives the new file the owner, the extended attributes and the mode of the old one, in this order: a change of
// owner takes rights away, and an ACL is a part of the mode. What is as it should be already is not touched, so that
// somebody who may do no such thing (a rootless engine) can replace a file of their own.
func (f *File) dress(fd int, target string) error {
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
	if err := copyAttributes(fd, target); err != nil {
		return err
	}
	return failed("its mode cannot be kept", unix.Fchmod(fd, old.Mode&0o7777))
}

// copyAttributes gives the new file the extended attributes of target, and no others.
func copyAttributes(fd int, target string) error {
	want, err := readAttributes(func(b []byte) (int, error) { return unix.Listxattr(target, b) },
		func(name string, b []byte) (int, error) { return unix.Getxattr(target, name, b) })
	if err != nil {
		return failed("its extended attributes cannot be read", err)
	}
	have, err := readAttributes(func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
		func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
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
	for name := range have { // an ACL that the folder gives to new files
		if _, ok := want[name]; !ok {
			if err := unix.Fremovexattr(fd, name); err != nil {
				return failed("the new file's extended attribute "+name+" cannot be taken away", err)
			}
		}
	}
	return nil
}

// readAttributes gives a file's extended attributes, but for the kernel's own seals of a file's contents, which belong
// to the contents. A file system without attributes has none.
func readAttributes(list func([]byte) (int, error), get func(string, []byte) (int, error)) (map[string]string, error) {
	names, err := sized(list)
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
		value, err := sized(func(b []byte) (int, error) { return get(name, b) })
		if err != nil {
			return nil, err
		}
		attributes[name] = string(value)
	}
	return attributes, nil
}

// sized calls f for the size and then for the bytes, again if they have grown in between.
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
