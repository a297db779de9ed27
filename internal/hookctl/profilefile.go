package hookctl

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

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// profileText is what a profile's hook file is made of.
type profileText struct {
	Runtime       string          `json:"runtime"` // first: control of running containers depends on this member alone
	HooksDirs     []string        `json:"hooksDirs,omitempty"`
	SkipSandboxes bool            `json:"skipSandboxes,omitempty"`
	Hooks         json.RawMessage `json:"hooks,omitempty"`
}

// take takes over what a hook file holds: its hooks with all their members, and nothing that oci-add-hooks ignores. It is
// the file as it was checked, whatever has become of it since.
func (t *profileText) take(checked *jsonfile.File) error {
	file, err := hooks.ParseFile(checked)
	if err != nil {
		return err
	}
	var members map[string]json.RawMessage // the names are unique and rightly spelt: they have been checked
	if err := json.Unmarshal(checked.Data, &members); err != nil {
		return err
	}
	t.Runtime, t.SkipSandboxes, t.Hooks = file.Runtime, file.SkipSandboxes, members["hooks"]
	t.HooksDirs = append(file.Dirs, t.HooksDirs...)
	return nil
}

// mark stands before the hash in the last member of what hookctl wrote: of all that stands before it. By it the file is
// known again as long as nobody has changed it.
const mark = ",\n\t\"" + check.WrittenBy + "\": \"hookctl "

const markEnd = "\"\n}\n"

func (t *profileText) marshal() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(t); err != nil {
		return nil, err
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n}\n"))
	return append(append(append(body[:len(body):len(body)], mark...), hashOf(body)...), markEnd...), nil
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// isOurs says whether hookctl wrote a profile, and nobody has changed it since.
func isOurs(text []byte) bool {
	i := bytes.LastIndex(text, []byte(mark))
	return i >= 0 && string(text[i:]) == mark+hashOf(text[:i])+markEnd
}

// step is a change to the system.
type step struct {
	Action string `json:"action"` // write, link, remove, or keep if it is so already
	Path   string `json:"path"`
	Target string `json:"target,omitempty"` // of a link
	Text   string `json:"text,omitempty"`   // of a file
	do     func() error
}

// standing is what stands in the place of a profile.
type standing struct {
	there bool
	text  []byte // nil if it is no regular file, and no folder either: a link, a FIFO
	ours  bool   // hookctl wrote it, and nobody has changed it
}

// examine looks at the place of a profile, without waiting and without following a link. What cannot be read is an error,
// unless it is to be overwritten or removed in any case.
func examine(path string, force bool) (s standing, err error) {
	switch st, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return s, fmt.Errorf("%s cannot be examined: %w; see who may read its folder", path, report.Plain(err))
	case st.IsDir():
		return s, fmt.Errorf("%s is a folder, where the profile is to be: take it away", path)
	case !st.Mode().IsRegular():
		return standing{there: true}, nil
	}
	s.there = true
	file, err := jsonfile.Read(path)
	if err == nil {
		s.text, s.ours = file.Data, isOurs(file.Data)
	} else if !force {
		return s, fmt.Errorf("%w; see who may read it", err)
	}
	return s, nil
}

// planFile plans to write a profile, which names runtime and is used by link.
func planFile(sys system.System, path string, text []byte, runtime, link string, force bool) (step, error) {
	c := step{Action: "write", Path: path, Text: string(text)}
	old, err := examine(path, force)
	switch {
	case err != nil:
		return c, err
	case !old.there:
		c.do = func() error { return change.Place(path, change.WriteFile(text, 0o644), os.Link) }
		return c, nil
	case old.text != nil && bytes.Equal(old.text, text):
		c.Action = "keep"
		return c, nil
	case !force && !old.ours:
		return c, fmt.Errorf("%s is not as hookctl wrote it; --force overwrites it", path)
	}
	if !force {
		if before, err := hooks.ReadRuntime(path); err != nil || before != runtime {
			if err := refuseRunning(sys, []string{link}, fmt.Sprintf("%s names the runtime %s, which cannot be changed", path, before)); err != nil {
				return c, err
			}
		}
	}
	c.do = func() error { return change.Place(path, change.WriteFile(text, 0o644), os.Rename) }
	return c, nil
}

// planLink plans to make the link called name beside program, for a profile of runtime. Only a link is ever replaced.
func planLink(program, runtime, name string, force bool) (step, error) {
	path, target := filepath.Join(filepath.Dir(program), name), filepath.Base(program)
	c := step{Action: "link", Path: path, Target: target}
	link := func(at string) error { return os.Symlink(target, at) }
	self, _ := os.Executable()
	switch st, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		c.do = func() error { return os.Symlink(target, path) }
	case err != nil:
		return c, fmt.Errorf("%s cannot be examined: %w; see who may read that folder", path, report.Plain(err))
	case leadsTo(path, program):
		c.Action = "keep"
	case st.IsDir():
		return c, fmt.Errorf("%s is a folder, where the link is to be: take another name or --bin-dir", path)
	case leadsTo(path, runtime):
		return c, fmt.Errorf("%s is the runtime of this profile: take another name or --bin-dir", path)
	case self != "" && leadsTo(path, self):
		return c, fmt.Errorf("%s is hookctl itself: take another name or --bin-dir", path)
	case st.Mode()&fs.ModeSymlink == 0:
		return c, fmt.Errorf("%s is a program, not a link: take another name or --bin-dir", path)
	case force:
		c.do = func() error { return change.Place(path, link, os.Rename) }
	default:
		return c, fmt.Errorf("%s is there already, and is no link to oci-add-hooks; --force replaces it", path)
	}
	return c, nil
}

// planRemoval plans to take away a profile and its link, whichever of them there is. links are all links by which the
// profile is used, as far as they are known.
func planRemoval(program, name string, links []string, force bool) (steps []step, err error) {
	file, link := profilePath(name), filepath.Join(filepath.Dir(program), name)
	switch old, err := examine(file, force); {
	case err != nil:
		return nil, err
	case !old.there:
	case !force && !old.ours:
		return nil, fmt.Errorf("%s is not as hookctl wrote it; --force removes it", file)
	default:
		for _, other := range links {
			if !force && !sameName(other, link) && !sameName(other, program) {
				return nil, fmt.Errorf("%s is another link by which this profile is used, and containers that were started by it could not be "+
					"stopped; stop them and remove it first, or give --force", other)
			}
		}
		steps = append(steps, step{Action: "remove", Path: file, do: func() error { return os.Remove(file) }})
	}
	st, err := os.Lstat(link)
	if err == nil && st.Mode()&os.ModeSymlink != 0 && link != program && leadsTo(link, program) {
		steps = append([]step{{Action: "remove", Path: link, do: func() error { return os.Remove(link) }}}, steps...)
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("there is neither %s nor a link %s to oci-add-hooks", file, link)
	}
	return steps, nil
}

// sameName says whether two paths are the same file, or the same link: /bin may be a link to /usr/bin.
func sameName(a, b string) bool {
	stA, errA := os.Lstat(a)
	stB, errB := os.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(stA, stB)
}

func leadsTo(path, program string) bool {
	a, errA := os.Stat(path)
	b, errB := os.Stat(program)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// carryOut takes steps, and tells of each.
func (s *streams) carryOut(how manner, steps []step) error {
	for _, c := range steps {
		if !how.dryRun && c.do != nil {
			if err := c.do(); err != nil {
				return fmt.Errorf("%s: cannot %s it: %w; see who may write there (root, most likely), and what has been done already", c.Path, c.Action, report.Plain(err))
			}
		}
		if !s.AsJSON {
			s.printStep(c, how.dryRun)
		}
	}
	if s.AsJSON {
		return s.JSON(struct {
			DryRun  bool   `json:"dryRun"`
			Changes []step `json:"changes"`
		}{how.dryRun, steps})
	}
	return nil
}

func (s *streams) printStep(c step, dryRun bool) {
	would := ""
	if dryRun && c.Action != "keep" {
		would = "would "
	}
	what := ui.Escape(c.Path)
	if c.Action == "link" {
		what += " -> " + ui.Escape(c.Target)
	}
	if c.Action == "keep" {
		s.Printf("%s %s (it is so already)\n", s.Paint(ui.Dim, "keep"), what)
		return
	}
	paint := ui.Green
	if c.Action == "remove" {
		paint = ui.Yellow
	}
	s.Printf("%s %s\n", s.Paint(paint, would+c.Action), what)
	if dryRun && c.Text != "" {
		s.Printf("%s", c.Text)
	}
}
