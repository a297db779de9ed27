package change

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// journal is the record of changes. Its file exists only while there is something to record.
type journal struct {
	path string

	// Directories were made, outer ones before inner ones, and are removed once empty.
	Directories []string `json:"directories,omitempty"`

	// Unfinished holds the files that are being changed, were changed and not yet kept, or are being restored. All of
	// them are restored if the process is killed.
	Unfinished []*entry `json:"unfinished,omitempty"`

	// Advice is what the user has to do then.
	Advice string `json:"advice,omitempty"`
}

// entry is a File in the journal.
type entry struct {
	Path        string      `json:"path"`
	Mode        fs.FileMode `json:"mode"` // before the change; of a new file, after it
	Own         bool        `json:"own,omitempty"`
	Before      []byte      `json:"before"`
	after       []byte
	perm        fs.FileMode // after the change
	AfterSHA256 string      `json:"afterSHA256"`
	Temporary   string      `json:"temporary"` // the path of the new file while it is written
}

// Digest returns the SHA-256 of a text, in hexadecimal; "" for no file.
func Digest(text []byte) string {
	if text == nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Recover undoes the change that a killed call began and did not keep, and removes its temporary files. It returns a
// message for the user; empty if there was nothing to undo.
func Recover(sys system.System) (note string, err error) {
	j, err := readJournal(sys)
	if err != nil {
		return "", err
	}
	if err := os.Remove(j.path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s.new cannot be removed: %w", j.path, report.Plain(err))
	}
	if len(j.Unfinished) == 0 {
		return "", nil
	}
	note = "an earlier call of hookctl was killed before its change was complete, and it was undone"
	if j.Advice != "" {
		note += "; " + j.Advice
	}
	if err := j.undo(j.Unfinished, nil); err != nil {
		return "", fmt.Errorf("an earlier call of hookctl was killed, and its incomplete change cannot be undone: %w", err)
	}
	return note, nil
}

func readJournal(sys system.System) (*journal, error) {
	j := &journal{path: filepath.Join(sys.State, "journal.json")}
	text, err := Read(j.path)
	if err != nil || text == nil {
		return j, err
	}
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("%s is not as hookctl wrote it (%w): check whether a change is incomplete, then remove that file", j.path, err)
	}
	return j, nil
}

func newEntry(f File) *entry {
	e := &entry{Path: f.Path, Mode: f.Mode, Own: f.Own, Before: f.Before, after: f.After, perm: f.Mode.Perm(), AfterSHA256: Digest(f.After), Temporary: temporary(f.Path)}
	if st, err := os.Stat(f.Path); err == nil && f.Mode.IsRegular() && st.Mode().IsRegular() {
		e.Mode = st.Mode().Perm() // to restore it
	}
	return e
}

// remember records the directories that have to be made for entries.
func (j *journal) remember(sys system.System, entries []*entry) {
	for _, e := range entries {
		for _, dir := range MissingDirectories(filepath.Dir(e.Path)) {
			if !holds(dir, sys.State) && !slices.Contains(j.Directories, dir) { // removed with the journal
				j.Directories = append(j.Directories, dir)
			}
		}
	}
	slices.Sort(j.Directories)
}

// holds reports whether path is the directory dir, or is below it.
func holds(dir, path string) bool { return strings.HasPrefix(path+"/", dir+"/") }

// undo restores entries, the last one first. The entries in left stay unfinished.
func (j *journal) undo(entries, left []*entry) error {
	for _, e := range slices.Backward(entries) {
		err := e.undo()
		if _, isChanged := err.(changedError); isChanged { // retrying cannot restore it
			return errors.Join(err, j.finish(left))
		}
		if err != nil {
			return err
		}
	}
	return j.finish(left)
}

// finish records that only left is unfinished, and removes directories that have become empty.
func (j *journal) finish(left []*entry) error {
	j.Unfinished = left
	if len(left) == 0 {
		j.Advice = ""
	}
	for i, dir := range slices.Backward(j.Directories) {
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT || err == unix.ENOTDIR { // ENOTDIR: a link that was there
			j.Directories = slices.Delete(j.Directories, i, i+1)
		} // otherwise it is in use
	}
	return j.write()
}

// write writes the journal. An empty one is removed, with its directory if that is then empty.
func (j *journal) write() error {
	dir := filepath.Dir(j.path)
	err := j.replace(dir)
	if err == nil && len(j.Directories)+len(j.Unfinished) == 0 {
		_ = os.Remove(dir) // fails if it has other files, such as the lock or a record
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w%s", j.path, report.Plain(err), remedy(err))
	}
	return nil
}

func (j *journal) replace(dir string) error {
	if len(j.Directories)+len(j.Unfinished) == 0 {
		if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := errors.Join(enc.Encode(j), MakeDirectories(dir)); err != nil {
		return err
	}
	file, err := os.OpenFile(j.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(b.Bytes())
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(j.path+".new", j.path); err != nil {
		return err
	}
	return sync(dir)
}

// temporary returns the path of the temporary file that replaces the one at path.
func temporary(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir := filepath.Dir(path)
	if above := filepath.Dir(dir); sameMount(dir, above) {
		if err := unix.Access(above, unix.W_OK); err == nil || err == unix.ENOENT { // ENOENT: it will be made
			dir = above
		}
	}
	return filepath.Join(dir, fmt.Sprintf(".hookctl-%d-%s", os.Getpid(), filepath.Base(path)))
}

// sameMount reports whether a file can be renamed from above into the directory below it, which may not exist yet.
func sameMount(below, above string) bool {
	var a, b unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, below, 0, unix.STATX_MNT_ID, &a); err != nil {
		return errors.Is(err, unix.ENOENT)
	}
	if err := unix.Statx(unix.AT_FDCWD, above, 0, unix.STATX_MNT_ID, &b); err != nil {
		return false
	}
	return a.Mnt_id == b.Mnt_id && a.Dev_major == b.Dev_major && a.Dev_minor == b.Dev_minor
}

// MissingDirectories returns those of path and its parent directories that are missing, outermost first.
func MissingDirectories(path string) (missing []string) {
	for at := path; at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			break
		}
		missing = append([]string{at}, missing...)
	}
	return missing
}

// MakeDirectories makes a directory and its missing parents, readable for everyone independent of the umask.
func MakeDirectories(path string) error {
	missing := MissingDirectories(path)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}
