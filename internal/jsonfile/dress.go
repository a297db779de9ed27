package jsonfile

import "golang.org/x/sys/unix"

// Dress copies the file's owner, extended attributes (including the SELinux label and ACLs) and mode to the new file
// fd. It is for a caller that writes and renames the new file itself. Dress follows a symbolic link.
func (f *File) Dress(fd int) error {
	old, err := openFile(unix.AT_FDCWD, f.Path, 0)
	if err != nil {
		return failed("it cannot be opened again", err)
	}
	defer unix.Close(old)
	return f.dress(fd, old)
}
