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
	"slices"

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

// Change is a change that is being made. It stays in the journal until it is kept or undone: if the process is killed before,
// Recover undoes it, so that nothing stays that was not judged.
type Change struct {
	sys  system.System
	open bool // whether anything was applied
}

// Begin returns a change of nothing yet. Its caller holds the lock of package lock; one change is made at a time.
func Begin(sys system.System) *Change { return &Change{sys: sys} }

// Make makes a change that needs no judgement.
func Make(ctx context.Context, sys system.System, files []File) error {
	c := Begin(sys)
	if err := c.Apply(ctx, files); err != nil {
		return err
	}
	return c.Keep()
}

// Apply makes of each file, in order, what it is to become. Each must still be as it was Before. If one fails, or ctx ends,
// those before it are put back, but for what an earlier Apply has done. Directories that are missing are made, and
// remembered: one of these that becomes empty is removed.
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

// journal returns the journal as this change has left it: what another call has left in it is undone first.
func (c *Change) journal() (*journal, error) {
	if !c.open {
		if _, err := Recover(c.sys); err != nil {
			return nil, err
		}
	}
	return readJournal(c.sys)
}

// Advise has the journal hold what a person is to do if Recover undoes the change.
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

// Keep ends the change, which outlives a power cut.
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

// Undo puts back what has been done, the last first. It stops at the first failure: what came first, and says what there is
// to put back, stays. The next call tries again, unless somebody else has changed the file: then it is theirs.
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
		dir := filepath.Dir(e.Path)
		if err := MakeDirectories(dir); err != nil {
			return fmt.Errorf("the directory %s cannot be made: %w%s", dir, report.Plain(err), remedy(err))
		}
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
