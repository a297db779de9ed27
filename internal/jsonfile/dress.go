package jsonfile

import "golang.org/x/sys/unix"

// Dress sets on the new file fd what the file has: its owner, extended attributes (the SELinux label and ACLs among
// them) and mode. It is for a caller that writes and renames the new file itself. A symbolic link is followed.
func (f *File) Dress(fd int) error {
	old, err := openFile(unix.AT_FDCWD, f.Path, 0)
	if err != nil {
		return failed("it cannot be opened again", err)
	}
	defer unix.Close(old)
	return f.dress(fd, old)
}
