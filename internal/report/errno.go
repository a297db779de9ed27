package report

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// words are this program's texts and remedies for the system errors that a user can meet. Messages must not contain the
// C library's texts, because engines look for several of them in a runtime's message and act on them (rule 19, see
// actedOn).
//
// It is not a map, because every call would have to build that at its start.
var words = [...]struct {
	errno        unix.Errno
	text, remedy string
}{
	{unix.EPERM, "the kernel refuses it to this user", "see what forbids it: a capability that is missing, an immutable file, a security module"},
	{unix.ENOENT, "nothing exists at this path", "correct the path, or create it"},
	{unix.EIO, "the device reports an input or output error", "see the kernel's log (dmesg)"},
	{unix.ENXIO, "nobody reads from it", "have somebody read from it, or name another file"},
	{unix.E2BIG, "the arguments and the environment are too long", "shorten them"},
	{unix.ENOEXEC, "this kernel cannot execute its format", "install one for this machine; a script begins with #! and its interpreter"},
	{unix.EAGAIN, "a resource is exhausted for the moment", "try again"},
	{unix.ENOMEM, "memory is short", "free some, or raise the limit"},
	{unix.EACCES, "access is refused", "see the modes of the file and of the directories on its way (namei -l), and a security module's log"},
	{unix.EBUSY, "it is in use, or something is mounted on it", "see what uses it (findmnt, fuser)"},
	{unix.EEXIST, "the name is taken", "remove what has it, or choose another name"},
	{unix.EXDEV, "the two lie on different file systems", "put both on one"},
	{unix.ENOTDIR, "a part of the path is a file", "correct the path"},
	{unix.EISDIR, "a directory is there", "correct the path"},
	{unix.EINVAL, "the kernel does not accept it", "correct the path, or put it on another file system"},
	{unix.ENFILE, "the system has too many files open", "raise fs.file-max (sysctl)"},
	{unix.EMFILE, "this process has too many files open", "raise the limit (ulimit -n)"},
	{unix.ETXTBSY, "it is being written to", "try again when it is whole"},
	{unix.EFBIG, "the file would be too large", "raise the limit (ulimit -f)"},
	{unix.ENOSPC, "the file system is full", "make room on it: df and df -i show what it has"},
	{unix.EROFS, "the file system is read-only", "mount it writable, or choose another place"},
	{unix.ENAMETOOLONG, "the name is too long", "shorten it"},
	{unix.ELOOP, "too many symbolic links", "correct the links: one leads back to itself"},
	{unix.EOVERFLOW, "a value is too large", "put it on another file system"},
	{unix.EOPNOTSUPP, "the file system does not support it", "put it on another file system"},
	{unix.ENODATA, "there is no such attribute", "try again"},
	{unix.ESTALE, "the network file system has lost it", "mount it again"},
	{unix.EDQUOT, "the disk quota is used up", "make room, or raise the quota"},
}

// Remedy returns the remedy for an error that is or wraps a system error. It returns "" for any other error.
func Remedy(err error) string {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return ""
	}
	for _, w := range words {
		if w.errno == errno {
			return w.remedy
		}
	}
	return "see the kernel's log (dmesg)"
}

// IsOfInterpreter reports whether err, from executing the file at path, is about the interpreter or the dynamic loader
// that the file names. The kernel's error for a missing one is the same as for a missing file, ENOENT.
func IsOfInterpreter(path string, err error) bool {
	return errors.Is(err, unix.ENOENT) && unix.Access(path, unix.F_OK) == nil
}

// Plain returns an error with a text that no engine acts on, if err is or wraps a system error: this program's text and
// the error's symbolic name. It wraps err. Plain returns any other error unchanged.
func Plain(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	name := unix.ErrnoName(errno)
	if name == "" {
		name = fmt.Sprintf("number %d", int(errno))
	}
	text := "system error"
	for _, w := range words {
		if w.errno == errno {
			text = w.text
		}
	}
	return &plain{text: text + " (" + name + ")", err: err}
}

type plain struct {
	text string
	err  error
}

func (p *plain) Error() string { return p.text }
func (p *plain) Unwrap() error { return p.err }
