package hooks

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// The two directories that Podman and CRI-O read by default. Only these may be missing.
const (
	DefaultDir  = "/usr/share/containers/oci/hooks.d" // for what packages install
	OverrideDir = "/etc/containers/oci/hooks.d"       // for the administrator's own
)

// Directories holds the content of hooks directories. It is not safe for concurrent use.
type Directories struct {
	entries []entry // in the order in which hooks are added; a masked entry comes before the one that masks it
}

// entry is one file of one directory.
type entry struct {
	name, folded string // the file's name, as it is and in lower case
	path         string
	place        int    // the index of its directory, in increasing precedence
	rule         *rule  // nil if the name leads to no file
	maskedBy     string // the path of the file that masks it; empty if there is none
}

// Decision is whether the hook of a file is added to a container, and why.
type Decision struct {
	File   string         // the path of the file
	Dir    int            // the index of its directory, as ReadDirectories got it
	Path   string         // the path of the hook's program; empty if the name leads to no file
	Stages []Stage        // the stages as often as the file names them, with createRuntime instead of prestart
	Added  bool           // whether the hook is added
	JSON   jsontext.Value // the hook object to append to each of Stages; nil if it is not added
	Reason Reason         // why the hook is added or not added
}

// ReadDirectories reads the hook files in directories, which are in increasing precedence: a file masks files with the
// same name in earlier directories (rule 21). Every file must be valid, including masked ones.
func ReadDirectories(dirs []string) (*Directories, error) {
	d := &Directories{}
	seen := expressions{}
	for place, dir := range dirs {
		if slices.Contains(dirs[place+1:], dir) {
			continue // its files would mask themselves
		}
		if err := d.read(dir, place, seen); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(d.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.folded, b.folded), cmp.Compare(a.name, b.name), cmp.Compare(a.place, b.place))
	})
	d.mask()
	return d, nil
}

// read adds the entries of one directory.
func (d *Directories) read(dir string, place int, seen expressions) error {
	files, err := list(dir)
	if errors.Is(err, fs.ErrNotExist) && (path.Clean(dir) == DefaultDir || path.Clean(dir) == OverrideDir) {
		return nil
	}
	if err != nil {
		return err
	}
	d.entries = slices.Grow(d.entries, len(files))
	for _, file := range files {
		name := file.Name()
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		e := entry{name: name, folded: strings.ToLower(name), path: strings.TrimRight(dir, "/") + "/" + name, place: place}
		f, err := jsonfile.Read(e.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// It has been removed since, or is a dangling link. It is skipped, as Podman's library does.
		case err != nil:
			return err
		default:
			if e.rule, err = readRule(f, seen); err != nil {
				return err
			}
		}
		d.entries = append(d.entries, e)
	}
	return nil
}

// list returns the entries of a directory, sorted by name. For root it refuses a world-writable directory, as it does a
// world-writable file: every user could create a file there that runs a program as root (rule 16).
func list(dir string) ([]fs.DirEntry, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, unreadable(dir, err)
	}
	if st.Mode()&unix.S_IWOTH != 0 && unix.Geteuid() == 0 {
		return nil, &jsonfile.Error{Path: dir, Problem: "anyone may write to the hooks directory, and its hooks run as root",
			Remedy: "run: chmod o-w " + dir}
	}
	files, err := f.ReadDir(-1)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	slices.SortFunc(files, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return files, nil
}

func unreadable(dir string, err error) error {
	plain := report.Plain(err)
	remedy := report.Remedy(err)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		remedy = cmp.Or(jsonfile.RelativeRemedy(dir), "create it, or remove it from hooksDirs and --hooks-dir")
	}
	return &jsonfile.Error{Path: dir, Problem: "the hooks directory cannot be read: " + plain.Error(), Remedy: remedy, Err: plain}
}

// mask finds the masked files. The entries are sorted, so files with the same name are adjacent.
func (d *Directories) mask() {
	var by *entry // the unmasked file among those with the same name
	for i := len(d.entries) - 1; i >= 0; i-- {
		switch e := &d.entries[i]; {
		case e.rule == nil:
		case by != nil && by.name == e.name:
			e.maskedBy = by.path
		default:
			by = e
		}
	}
}

// Decide returns for each file whether its hook is added to c, in the order in which hooks are added. It returns an
// error if a hook must be added and cannot be:
//
//   - its program is missing, unless the hook runs only in the container, at startContainer;
//   - its path is not absolute;
//   - its timeout is less than 1;
//   - its file is world-writable, and the user is root.
func (d *Directories) Decide(c Container) ([]Decision, error) {
	found := facts{Container: c}
	sandbox := c.IsSandbox()
	asked := programs{}
	decisions := make([]Decision, 0, len(d.entries))
	for i := range d.entries {
		e := &d.entries[i]
		n := Decision{File: e.path, Dir: e.place}
		if e.rule != nil {
			n.Path, n.Stages = e.rule.path, e.rule.stages
		}
		switch {
		case e.rule == nil:
			n.Reason = Reason{{About: NoFile}}
		case e.maskedBy != "":
			n.Reason = Reason{{About: Mask, Found: []string{e.maskedBy}}}
		case sandbox:
			n.Reason = Reason{{About: Sandbox}}
		default:
			var err error
			n.Added, n.Reason, err = e.rule.when.match(&found)
			if err != nil {
				return nil, e.rule.failCommands(err)
			}
			if n.Added && len(n.Stages) == 0 {
				n.Added, n.Reason = false, Reason{{About: NoStage}}
			}
			if n.Added {
				if err := e.rule.refuse(asked); err != nil {
					return nil, err
				}
				n.JSON = e.rule.hook()
			}
		}
		decisions = append(decisions, n)
	}
	return decisions, nil
}

// programs caches the results of looking for programs, because many hooks may have the same one.
type programs map[string]error

// find returns an error if there is no file at path.
func (p programs) find(path string) error {
	err, known := p[path]
	if !known {
		err = unix.Faccessat(unix.AT_FDCWD, path, unix.F_OK, unix.AT_EACCESS)
		p[path] = err
	}
	return err
}

// Empty reports whether there are no files.
func (d *Directories) Empty() bool { return len(d.entries) == 0 }
