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

// The two directories that Podman and CRI-O read unless told otherwise. Only these may be missing.
const (
	DefaultDir  = "/usr/share/containers/oci/hooks.d" // for what packages install
	OverrideDir = "/etc/containers/oci/hooks.d"       // for the administrator's own
)

// Directories is what hooks directories hold. It is not for concurrent use.
type Directories struct {
	entries []entry // in the order of injection; a masked entry stands before the one that masks it
}

// entry is one file of one directory.
type entry struct {
	name, folded string // the file's name, and in lower case
	path         string
	place        int    // of its directory, in the order of precedence
	rule         *rule  // nil if there is no file behind the name
	maskedBy     string // the path of the file that takes its place; empty if there is none
}

// Decision says of a file whether its hook is added to a container.
type Decision struct {
	File   string         // the file
	Dir    int            // which of the directories that were read it lies in
	Path   string         // the hook's program; empty if there is no file behind the name
	Stages []Stage        // where the hook goes, once for each time the file names the stage; prestart is createRuntime here
	Added  bool           // whether it is added
	JSON   jsontext.Value // the hook object to be appended to each of Stages; nil if it isn't added
	Reason Reason         // why it is added, or why not
}

// ReadDirectories reads the hook files of directories given in increasing precedence: of files with the same name in
// several directories, the one in the last takes the place of the others. Every file has to be well-formed, one that
// another takes the place of too.
func ReadDirectories(dirs []string) (*Directories, error) {
	d := &Directories{}
	seen := expressions{}
	for place, dir := range dirs {
		if slices.Contains(dirs[place+1:], dir) {
			continue // all that it holds would be masked by itself
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
			// It has been taken away since, or is a link that leads nowhere: passed over, as the library does.
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

// list returns what lies in a directory, by name. Root's calls refuse a directory to which anyone may write, as they do
// such a file: whoever can put a file there chooses what runs as root.
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

// mask finds the files whose place another takes. The entries are sorted: files of one name stand together.
func (d *Directories) mask() {
	var by *entry // the file that is in force, among those of its name
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

// Decide says of each file whether its hook is added to c, in the order in which hooks are added. It is an error if a
// hook that is to be added cannot be: its program is missing (unless it runs in the container only, at startContainer),
// its path is not absolute, its timeout is less than 1, or anyone may write to its file.
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

// programs remembers which programs were looked for, and what came of it: many hooks may share one.
type programs map[string]error

// find returns an error if there is nothing at path.
func (p programs) find(path string) error {
	err, known := p[path]
	if !known {
		err = unix.Faccessat(unix.AT_FDCWD, path, unix.F_OK, unix.AT_EACCESS)
		p[path] = err
	}
	return err
}

// Empty reports whether there is no file to decide about.
func (d *Directories) Empty() bool { return len(d.entries) == 0 }
