// Package change changes the system: all files that belong together, or none.
//
// It is the only executor of changes: to files, links, and programs that are copied. It knows how each file is replaced
// in one step, how a failure or an interrupt is undone, how the next call undoes a killed one's incomplete change, and
// which directories were made and have to be removed once empty. It does not know what the files are, and takes no
// lock: its callers hold that of package lock.
//
// A temporary file is never in the directory of the file that it replaces, because an engine may read all files of that
// directory (CRI-O does, in subdirectories too). It is in the directory above, and in the file's own only if the
// directory above is another mount or not writable.
package change

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// File is a path and the file that it has to become. A nil text stands for no file.
type File struct {
	Path          string
	Before, After []byte // a regular file's text (a symbolic link to one is followed), or a link's target

	// Mode has the type of the file: a regular one, fs.ModeSymlink, or fs.ModeNamedPipe, which can only be removed. A
	// change of type takes two Files. A new file gets its permissions; an existing one keeps its own, with its owner
	// and attributes.
	Mode fs.FileMode

	// Own is set for a file of hookctl's own: an existing one gets the permissions too.
	Own bool
}

// Same reports whether the file does not change.
func (f File) Same() bool { return same(f.Before, f.After) }

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// Link returns a File for a link; an empty target stands for no link.
func Link(path, before, after string) File {
	text := func(target string) []byte {
		if target == "" {
			return nil
		}
		return []byte(target)
	}
	return File{Path: path, Before: text(before), After: text(after), Mode: fs.ModeSymlink}
}

// Read returns the text of the file at path, nil if there is none. It follows a symbolic link.
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

// Change is a change in progress. It stays in the journal until it is kept or undone: if the process is killed before,
// Recover undoes it, so that nothing stays that was not judged.
type Change struct {
	sys  system.System
	open bool // whether anything was applied
}

// Begin returns an empty change. Its caller holds the lock of package lock, and makes one change at a time.
func Begin(sys system.System) *Change { return &Change{sys: sys} }

// Make makes a change that does not need to be judged.
func Make(ctx context.Context, sys system.System, files []File) error {
	c := Begin(sys)
	if err := c.Apply(ctx, files); err != nil {
		return err
	}
	return c.Keep()
}

// Apply changes each file, in order. Each must still equal Before. If one fails, or ctx ends, Apply restores those
// before it, but not those of an earlier Apply. It makes missing directories and records them: a recorded directory
// that becomes empty is removed.
func (c *Change) Apply(ctx context.Context, files []File) error {
	var entries []*entry
	for _, f := range files {
		if !f.Same() {
			entries = append(entries, newEntry(f))
		}
	}
	if len(entries) == 0 {
		return nil
	}
	j, err := c.journal()
	if err != nil {
		return err
	}
	j.remember(c.sys, entries)
	before := j.Unfinished
	j.Unfinished = slices.Concat(before, entries)
	if err := j.write(); err != nil {
		return err
	}
	c.open = true
	begun := 0
	for begun < len(entries) && err == nil {
		e := entries[begun]
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted: %w", context.Cause(ctx))
		} else if err = e.check(); err == nil {
			begun++
			err = e.become(e.Before, e.after, e.perm)
		}
	}
	if err == nil {
		return nil
	}
	if undoErr := j.undo(entries[:begun], before); undoErr != nil {
		return fmt.Errorf("%w\nand not everything was restored: %w", err, undoErr)
	}
	return err
}

// journal returns the journal as this change left it. It first undoes what another call left in it.
func (c *Change) journal() (*journal, error) {
	if !c.open {
		if _, err := Recover(c.sys); err != nil {
			return nil, err
		}
	}
	return readJournal(c.sys)
}

// Advise records in the journal what the user has to do if Recover undoes the change.
func (c *Change) Advise(text string) error {
	if !c.open {
		return nil
	}
	j, err := c.journal()
	if err == nil {
		j.Advice = text
		err = j.write()
	}
	return err
}

// Keep ends the change, which then survives a power failure.
func (c *Change) Keep() error {
	if !c.open {
		return nil
	}
	j, err := c.journal()
	if err == nil {
		err = j.finish(nil)
	}
	if err == nil {
		c.open = false
	}
	return err
}

// Undo restores the files, the last one first. It stops at the first failure: the earlier files stay, because they say
// what remains to be restored. The next call retries, unless somebody else has changed the file since, which then keeps
// that change.
func (c *Change) Undo() error {
	if !c.open {
		return nil
	}
	j, err := c.journal()
	if err != nil {
		return err
	}
	c.open = false
	return j.undo(j.Unfinished, nil)
}

// text returns the current text at the path of an entry, nil if there is no file.
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

// changedError is an error about a file that somebody else has changed.
type changedError string

func (e changedError) Error() string { return string(e) + " was changed in between; try again" }

func (e *entry) changed() error { return changedError(e.Path) }

// check returns an error if a file differs from Before.
func (e *entry) check() error {
	now, err := e.text()
	if err == nil && !same(now, e.Before) {
		err = e.changed()
	}
	return err
}

// undo restores a file, if the change has reached it.
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

// become replaces the current text of a file; a nil text removes the file. A file that is new, or hookctl's own, gets
// the permissions.
func (e *entry) become(now, text []byte, perm fs.FileMode) error {
	at := e.Path // or the target of a link there
	err := e.sweep()
	switch {
	case err != nil:
	case text == nil:
		err = os.Remove(at)
	default:
		dir := filepath.Dir(e.Path)
		if err := MakeDirectories(dir); err != nil {
			return fmt.Errorf("the directory %s cannot be made: %w%s", dir, report.Plain(err), remedy(err))
		}
		if err = e.create(text, perm); err != nil {
			break
		}
		if now == nil { // no file may exist
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

// remedy returns the remedy for a failed change, or "".
func remedy(err error) string {
	switch {
	case errors.Is(err, unix.EEXIST):
		return "; is it a link that leads nowhere? Then remove it"
	case errors.Is(err, unix.EROFS):
		return "; mount it writable, or choose another place"
	case os.Geteuid() != 0 && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)):
		return "; run it as root"
	}
	return ""
}

// create creates the temporary file with a text.
func (e *entry) create(text []byte, perm fs.FileMode) error {
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
		if err := file.Chmod(perm); err != nil { // independent of the umask
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
	if _, err := os.Lstat(e.Temporary); errors.Is(err, fs.ErrNotExist) { // unlink on a read-only file system says EROFS even then
		return nil
	}
	if err := os.Remove(e.Temporary); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("the temporary file %s cannot be removed: %w", e.Temporary, report.Plain(err))
	}
	return nil
}

// sync makes the changes to a directory survive a power failure.
func sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
