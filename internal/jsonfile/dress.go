package jsonfile

import "path/filepath"

// Dress gives the new file fd what the file has had: its owner, extended attributes (the SELinux label and ACLs among
// them) and mode. It is for a caller that writes and renames the new file itself. A symbolic link is followed.
func (f *File) Dress(fd int) error {
	target, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return failed("its link cannot be followed", err)
	}
	return f.dress(fd, target)
}
