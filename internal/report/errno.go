package report

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// words are ours for the system errors that a user can meet. The C library's must not be used: engines look for
// several of them in a runtime's message and act on what they find (see actedOn).
//
// It is no map: that would have to be built at the start of every call.
var words = [...]struct {
	errno unix.Errno
	text  string
}{
	{unix.EPERM, "the kernel refuses it to this user"},
	{unix.ENOENT, "there is nothing of that name"},
	{unix.EIO, "the device reports an input or output error"},
	{unix.ENXIO, "nobody reads from it"},
	{unix.E2BIG, "the arguments and the environment are too long"},
	{unix.ENOEXEC, "it is in no format that this kernel can execute"},
	{unix.EAGAIN, "a resource is short for the moment"},
	{unix.ENOMEM, "memory is short"},
	{unix.EACCES, "access is refused"},
	{unix.EBUSY, "it is in use, or something is mounted on it"},
	{unix.EEXIST, "the name is taken"},
	{unix.EXDEV, "the two lie on different file systems"},
	{unix.ENOTDIR, "a part of the path is no directory"},
	{unix.EISDIR, "a directory is there"},
	{unix.EINVAL, "the kernel does not accept it"},
	{unix.ENFILE, "the system has too many files open"},
	{unix.EMFILE, "this process has too many files open"},
	{unix.ETXTBSY, "it is being written to"},
	{unix.EFBIG, "the file would be too large"},
	{unix.ENOSPC, "the file system is full"},
	{unix.EROFS, "the file system is read-only"},
	{unix.ENAMETOOLONG, "the name is too long"},
	{unix.ELOOP, "too many symbolic links"},
	{unix.EOVERFLOW, "a value is too large"},
	{unix.EOPNOTSUPP, "the file system has no such thing"},
	{unix.ENODATA, "there is no such attribute"},
	{unix.ESTALE, "the network file system has lost it"},
	{unix.EDQUOT, "the disk quota is used up"},
}

// Plain returns err with a text that no engine misreads, if err is or wraps a system error: words of our own and the
// error's symbolic name. errors.Is and errors.As see err as before. Any other error is given as it is.
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
