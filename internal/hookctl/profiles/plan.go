package profiles

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Plan is the change, in order, that adding or removing a profile makes. It includes files that are already correct.
type Plan struct {
	Files []change.File

	// Runtime is the runtime that the profile no longer names after the change: running containers of the profile could
	// then no longer be stopped. It is empty if the runtime stays.
	Runtime string

	// Note is a message about the plan for the user; it may be empty.
	Note string
}

// Refused is an error about something that a command does only with --force.
type Refused struct {
	Problem string
	Force   string // what --force does: "overwrites it"
}

func (r Refused) Error() string { return r.Problem + "; --force " + r.Force }

// Link returns the path of the link of a profile, beside the oci-add-hooks at exe.
func Link(exe, name string) string { return filepath.Join(filepath.Dir(exe), name) }

// Add plans to add a profile. With force set, it replaces what hookctl did not write: a file, or a link that leads
// elsewhere, but never a program or a directory.
func Add(sys system.System, exe, name string, content *Content, force bool) (*Plan, error) {
	text, err := content.marshal()
	if err != nil {
		return nil, err
	}
	path := sys.Profile(name)
	old, err := examine(path)
	switch {
	case err != nil:
		return nil, err
	case old.exists && !old.ours && !force && !bytes.Equal(old.file.Before, text):
		return nil, Refused{path + " is not as hookctl wrote it", "overwrites it"}
	}
	plan := &Plan{Files: old.become(text)}
	if before, err := hooks.ReadRuntime(path); old.exists && (err != nil || before != content.Runtime) {
		plan.Runtime = before
		if err != nil {
			plan.Runtime = "that cannot be read"
		}
	}
	link, err := planLink(exe, content.Runtime, name, force)
	plan.Files = append(plan.Files, link)
	if hidden := program.Hides(link.Path); hidden != "" && err == nil {
		problem := fmt.Sprintf("%s comes before %s in PATH: whoever calls %s by its name", link.Path, hidden, name)
		switch {
		case program.LeadsTo(hidden, content.Runtime):
			plan.Note = problem + " gets the hooks from now on, engines too, without an installation"
		case link.Before == nil && !force:
			return nil, Refused{problem + " would call oci-add-hooks; choose another name", "makes the link all the same"}
		}
	}
	return plan, err
}

// existing is the file at the path of a profile.
type existing struct {
	exists bool
	ours   bool        // hookctl wrote it, and nobody has changed it since
	file   change.File // a file of any type, as it has to be removed
}

// examine examines the path of a profile, without blocking and without following a link.
func examine(path string) (e existing, err error) {
	e.file = change.File{Path: path}
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e, nil
	case err != nil:
		return e, fmt.Errorf("%s cannot be examined: %w; see who may read its directory", path, report.Plain(err))
	}
	e.exists = true
	switch st.Mode().Type() {
	case 0:
		file, err := jsonfile.Read(path)
		if err != nil {
			return e, fmt.Errorf("%w; move it away", err)
		}
		e.file.Before, e.ours = file.Data, isOurs(file.Data)
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return e, fmt.Errorf("%s cannot be examined: %w", path, report.Plain(err))
		}
		e.file = change.Link(path, target, "")
	case fs.ModeNamedPipe:
		e.file.Before, e.file.Mode = []byte{}, st.Mode()
	case fs.ModeDir:
		return e, fmt.Errorf("%s is a directory, in place of the profile: move it away", path)
	default:
		return e, fmt.Errorf("%s is neither a file nor a link: move it away", path)
	}
	return e, nil
}

// become returns the changes that replace the existing file with a profile.
func (e existing) become(text []byte) []change.File {
	file := change.File{Path: e.file.Path, After: text, Mode: 0o644, Own: true}
	if e.file.Mode.IsRegular() {
		file.Before = e.file.Before
		return []change.File{file}
	}
	return []change.File{e.file, file}
}

// planLink plans to make the link called name beside the program at exe, for a profile of runtime. It replaces only
// links.
func planLink(exe, runtime, name string, force bool) (change.File, error) {
	path, target := Link(exe, name), filepath.Base(exe)
	if path == exe { // this profile needs no link
		return change.File{Path: path, Mode: fs.ModeSymlink}, nil
	}
	self, _ := os.Executable()
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return change.Link(path, "", target), nil
	case err != nil:
		return change.File{}, fmt.Errorf("%s cannot be examined: %w; see who may read that directory", path, report.Plain(err))
	case program.LeadsTo(path, exe), st.Mode().Type() == fs.ModeSymlink && linksTo(path, target): // the program may be missing
		return change.Link(path, target, target), nil
	case st.IsDir():
		return change.File{}, fmt.Errorf("%s is a directory, in place of the link: choose another name or --bin-dir", path)
	case program.LeadsTo(path, runtime):
		return change.File{}, fmt.Errorf("%s is the runtime of this profile: choose another name or --bin-dir", path)
	case self != "" && program.LeadsTo(path, self):
		return change.File{}, fmt.Errorf("%s is hookctl itself: choose another name or --bin-dir", path)
	case st.Mode().Type() != fs.ModeSymlink:
		return change.File{}, fmt.Errorf("%s is a program, not a link: choose another name or --bin-dir", path)
	case !force:
		return change.File{}, Refused{path + " exists, and is not a link to oci-add-hooks", "replaces it"}
	}
	old, err := os.Readlink(path)
	if err != nil {
		return change.File{}, fmt.Errorf("%s cannot be examined: %w", path, report.Plain(err))
	}
	return change.Link(path, old, target), nil
}

func linksTo(path, target string) bool {
	text, err := os.Readlink(path)
	return err == nil && text == target
}

// Remove plans to remove a profile and its link, or whichever of them exists. links are all known links through which
// the profile is used. With force set, it removes what hookctl did not write, and ignores other links.
func Remove(sys system.System, exe, name string, links []string, force bool) (*Plan, error) {
	path, link := sys.Profile(name), Link(exe, name)
	plan := &Plan{}
	if st, err := os.Lstat(link); err == nil && st.Mode().Type() == fs.ModeSymlink && link != exe && program.LeadsTo(link, exe) {
		target, err := os.Readlink(link)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be examined: %w", link, report.Plain(err))
		}
		plan.Files = append(plan.Files, change.Link(link, target, ""))
	}
	switch old, err := examine(path); {
	case err != nil:
		return nil, err
	case !old.exists:
	case !force && !old.ours:
		return nil, Refused{path + " is not as hookctl wrote it", "removes it"}
	default:
		for _, other := range links {
			if !force && !sameName(other, link) && !sameName(other, exe) {
				return nil, Refused{other + " is another link by which this profile is used, and containers that were started by it could not be " +
					"stopped; stop them and remove it first", "removes the profile all the same"}
			}
		}
		plan.Files = append(plan.Files, old.file)
	}
	if len(plan.Files) == 0 {
		return nil, None(sys, name)
	}
	return plan, nil
}

// sameName reports whether two paths are the same file, or the same link: /bin may be a link to /usr/bin.
func sameName(a, b string) bool {
	stA, errA := os.Lstat(a)
	stB, errB := os.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(stA, stB)
}
