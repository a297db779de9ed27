// Package change makes changes to the system: all that belong together, or none.
//
// It is the one executor of changes: of files, of links, of programs that are copied. It knows how each takes its place in
// one step, how a failure or an interrupt is undone, how the next call undoes what a killed one left half done, and which
// directories were made and are to go when they are empty. It does not know what the files are, and takes no lock: its
// callers hold the one of package lock.
//
// A temporary file never lies beside the file whose place it takes, for an engine may read all files of that directory
// (CRI-O does, in subdirectories too). It lies in the directory above; beside it only where that is another mount or
// cannot be written.
package change

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// File is a path and what it is to become. A text of nil stands for nothing there.
type File struct {
	Path          string
	Before, After []byte // a regular file's text (a symbolic link to it is followed), or a link's target

	// Mode says what kind of file it is: a regular one, fs.ModeSymlink, or fs.ModeNamedPipe, which can only be removed. What
	// is of another kind before and after takes two of them. Its permissions are those of a file that is made; one that
	// is there keeps its own, with its owner and attributes.
	Mode fs.FileMode

	// Own says that the file is hookctl's own: one that is there gets those permissions too.
	Own bool
}

// Same reports whether the file stays as it is.
func (f File) Same() bool { return same(f.Before, f.After) }

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// Link returns a link as a File has it: "" stands for none.
func Link(path, before, after string) File {
	text := func(target string) []byte {
		if target == "" {
			return nil
		}
		return []byte(target)
	}
	return File{Path: path, Before: text(before), After: text(after), Mode: fs.ModeSymlink}
}

// Read returns the text of the file at path, nil if there is none. A symbolic link is followed.
func Read(path string) ([]byte, error) {
	file, err := jsonfile.Read(path)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return file.Data[:len(file.Data):len(file.Data)], nil
}

// Done is what has been done, so that it can be undone.
type Done struct {
	sys     system.System
	entries []*entry
	made    []string // directories
}

// Apply makes of each file, in order, what it is to become. Each must still be as it was Before. If one fails, or ctx ends,
// those before it are put back; if the process is killed, Recover does that. Directories that are missing are made, and
// remembered: one of these that becomes empty is removed. A change outlives a power cut.
func Apply(ctx context.Context, sys system.System, files []File) (*Done, error) {
	d := &Done{sys: sys}
	for _, f := range files {
		if !f.Same() {
			d.entries = append(d.entries, newEntry(f))
		}
	}
	if len(d.entries) == 0 {
		return d, nil
	}
	d.made = missingFor(d.entries)
	j, err := begin(sys, d.entries, nil)
	if err != nil {
		return nil, err
	}
	for i, e := range d.entries {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted: %w", context.Cause(ctx))
		} else {
			err = e.check()
		}
		if err != nil {
			j.Unfinished = d.entries[:i]
			break
		}
		if err = e.become(e.Before, e.after, e.perm); err != nil {
			j.Unfinished = d.entries[:i+1]
			break
		}
	}
	if err == nil {
		err = j.finish()
	}
	if err == nil {
		return d, nil
	}
	if undoErr := j.undo(); undoErr != nil {
		return nil, fmt.Errorf("%w\nand not everything was restored: %w", err, undoErr)
	}
	return nil, err
}

// Undo puts back what has been done, the last first. It stops at the first failure: what came first, and says what there is
// to put back, stays. The next call tries again, unless somebody else has changed the file: then it is theirs.
func (d *Done) Undo() error {
	if len(d.entries) == 0 {
		return nil
	}
	j, err := begin(d.sys, d.entries, d.made)
	if err != nil {
		return err
	}
	d.entries = nil
	return j.undo()
}

// text returns what is at the path of an entry now: nil for nothing.
func (e *entry) text() ([]byte, error) {
	if e.Mode.IsRegular() {
		return Read(e.Path)
	}
	st, err := os.Lstat(e.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s cannot be examined: %w", e.Path, report.Plain(err))
	case st.Mode().Type() != e.Mode.Type():
		return nil, e.changed()
	case e.Mode.Type() == fs.ModeNamedPipe:
		return []byte{}, nil
	}
	target, err := os.Readlink(e.Path)
	return []byte(target), err
}

// changedError is about a file that somebody else has changed.
type changedError string

func (e changedError) Error() string { return string(e) + " was changed in between; try again" }

func (e *entry) changed() error { return changedError(e.Path) }

// check returns an error if a file is not what it was.
func (e *entry) check() error {
	now, err := e.text()
	if err == nil && !same(now, e.Before) {
		err = e.changed()
	}
	return err
}

// undo makes of a file what it was, if it has become another.
func (e *entry) undo() error {
	now, err := e.text()
	switch {
	case err != nil:
		return err
	case same(now, e.Before):
		return e.sweep()
	case Digest(now) != e.AfterSHA256:
		return e.changed()
	}
	return e.become(now, e.Before, e.Mode.Perm())
}

// become replaces the text that a file has now; a text of nil removes the file. A file that is made, or is hookctl's own, gets
// the permissions.
func (e *entry) become(now, text []byte, perm fs.FileMode) error {
	at := e.Path // or where its link leads
	err := e.sweep()
	switch {
	case err != nil:
	case text == nil:
		err = os.Remove(at)
	default:
		if err = e.create(text, perm); err != nil {
			break
		}
		if now == nil { // nothing may be there
			err = errors.Join(os.Link(e.Temporary, at), os.Remove(e.Temporary))
			break
		}
		if e.Mode.IsRegular() {
			at, err = filepath.EvalSymlinks(at)
		}
		if err == nil {
			err = os.Rename(e.Temporary, at)
		}
	}
	if err == nil {
		err = sync(filepath.Dir(at))
	}
	if err == nil {
		return nil
	}
	if sweepErr := e.sweep(); sweepErr != nil {
		err = fmt.Errorf("%w; and %w", err, sweepErr)
	}
	return fmt.Errorf("%s cannot be changed: %w%s", e.Path, report.Plain(err), remedy(err))
}

// remedy returns what to do about a change that failed.
func remedy(err error) string {
	switch {
	case errors.Is(err, unix.EEXIST):
		return "; is it a link that leads nowhere? Then remove it"
	case errors.Is(err, unix.EROFS):
		return "; the file system is read-only: choose another place, or mount it writable"
	case os.Geteuid() != 0 && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)):
		return "; run it as root"
	}
	return ""
}

// create creates the temporary file, with a text.
func (e *entry) create(text []byte, perm fs.FileMode) error {
	if err := MakeDirectories(filepath.Dir(e.Path)); err != nil {
		return err
	}
	switch e.Mode.Type() {
	case fs.ModeSymlink:
		return os.Symlink(string(text), e.Temporary)
	case fs.ModeNamedPipe:
		return unix.Mkfifo(e.Temporary, uint32(perm))
	}
	file, err := os.OpenFile(e.Temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return err
	}
	switch old, err := jsonfile.Read(e.Path); {
	case errors.Is(err, unix.ENOENT), e.Own && err == nil:
		if err := file.Chmod(perm); err != nil { // whatever the umask
			return err
		}
	case err != nil:
		return err
	default:
		if err := old.Dress(int(file.Fd())); err != nil {
			return err
		}
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return file.Close()
}

// sweep removes the temporary file, if there is one.
func (e *entry) sweep() error {
	if err := os.Remove(e.Temporary); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("the temporary file %s cannot be removed: %w", e.Temporary, report.Plain(err))
	}
	return nil
}

// sync has a directory outlive a power cut with what has become of its files.
func sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
