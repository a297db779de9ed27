// Package change changes files of the system: all that belong together, or none.
//
// It knows how a file is put in place in one step, how a failure is undone, and how what was done is remembered, so that
// it can be taken back. It does not know what the files are.
package change

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// File is a file and what is to become of it. A text of nil stands for no file.
type File struct {
	Path          string
	Before, After []byte
	Mode          fs.FileMode // of a file that is made; one that is there keeps its own
}

// Same says whether the file stays as it is.
func (f File) Same() bool {
	return (f.Before == nil) == (f.After == nil) && bytes.Equal(f.Before, f.After)
}

// Read gives the text of the file at path, nil if there is none.
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
	files   []File   // in order
	folders []string // that were made, outermost first
}

// Apply makes of each file, in order, what it is to become. Each must still be as it was Before. If one fails, those
// before it are put back. A write outlives a power cut.
func Apply(files []File) (*Done, error) {
	d := &Done{}
	for _, f := range files {
		if f.Same() {
			continue
		}
		err := d.apply(f)
		if err == nil {
			continue
		}
		if undoErr := d.Undo(); undoErr != nil {
			err = fmt.Errorf("%w\nand not everything could be put back: %w", err, undoErr)
		}
		return nil, err
	}
	return d, nil
}

// Undo puts back what has been done, the last first. It stops at the first failure: what came first, and says what there is
// to put back, stays.
func (d *Done) Undo() error {
	for _, f := range slices.Backward(d.files) {
		f.Before, f.After = f.After, f.Before
		if err := (&Done{}).apply(f); err != nil {
			return err
		}
	}
	RemoveFolders(d.folders)
	return nil
}

// RemoveFolders removes those of the folders that are empty, the innermost first. One that is not has come to be used.
func RemoveFolders(folders []string) {
	for _, folder := range slices.Backward(folders) {
		_ = os.Remove(folder) // fails if it is in use
	}
}

func (d *Done) apply(f File) error {
	text, err := Read(f.Path)
	if err != nil {
		return err
	}
	if !(File{Before: text, After: f.Before}).Same() {
		return fmt.Errorf("%s was changed in between; try again", f.Path)
	}
	switch {
	case f.After == nil:
		var st fs.FileInfo
		if st, err = os.Stat(f.Path); err == nil {
			f.Mode = st.Mode().Perm() // to put it back
			err = os.Remove(f.Path)
		}
	case f.Before == nil:
		var made []string
		made, err = makeFolders(filepath.Dir(f.Path))
		d.folders = append(d.folders, made...)
		if err == nil {
			err = Place(f.Path, WriteFile(f.After, f.Mode), os.Link)
		}
	default:
		var file *jsonfile.File
		if file, err = jsonfile.Read(f.Path); err == nil {
			err = file.Replace(f.After, true)
		}
	}
	if err == nil {
		d.files = append(d.files, f)
		err = sync(filepath.Dir(f.Path))
	}
	if err != nil {
		return fmt.Errorf("%s cannot be changed: %w; see who may write there (root, most likely)", f.Path, report.Plain(err))
	}
	return nil
}

// MissingFolders gives the folders that there are not, of path and those above it, outermost first.
func MissingFolders(path string) (missing []string) {
	for at := path; at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
		missing = append([]string{at}, missing...)
	}
	return missing
}

// makeFolders makes a folder and those above it, for everyone to read whatever the umask, and gives the new ones.
func makeFolders(path string) (made []string, err error) {
	missing := MissingFolders(path)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	for _, folder := range missing {
		if err := os.Chmod(folder, 0o755); err != nil {
			return missing, err
		}
	}
	return missing, nil
}

// sync has a folder outlive a power cut with what has become of its files.
func sync(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// WriteFile gives a function that writes text to a new file of a mode, whatever the umask.
func WriteFile(text []byte, mode fs.FileMode) func(string) error {
	return func(path string) error {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		defer file.Close()
		if _, err := file.Write(text); err != nil {
			return err
		}
		if err := file.Chmod(mode); err != nil {
			return err
		}
		if err := file.Sync(); err != nil { // unlike a bundle, it is to outlive a power cut
			return err
		}
		return file.Close()
	}
}

// Place makes something under a temporary name and puts it at path: by os.Rename, or by os.Link if nothing may be there.
func Place(path string, create func(string) error, put func(from, to string) error) error {
	dir := filepath.Dir(path)
	if _, err := makeFolders(dir); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(dir, ".hookctl-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	made := filepath.Join(temporary, filepath.Base(path))
	if err := create(made); err != nil {
		return err
	}
	return put(made, path)
}
