// Package check finds mistakes in hook files and hooks directories before a container does.
//
// What the runtime refuses is an error; the package finds it with the functions that the runtime itself calls. What the
// runtime accepts but is probably a mistake is a warning. The package knows nothing of the command line or of how
// findings are printed.
package check

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/profile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// WrittenBy is the member of a hook file by which hookctl marks files that it wrote.
const WrittenBy = "writtenBy"

// Result holds the files that were checked and the findings.
type Result struct {
	Files    []string  `json:"files"`
	Findings []Finding `json:"findings"`
	files    map[string]*source
}

// File returns the content of a file when it was checked; nil if it could not be read.
func (r Result) File(path string) *jsonfile.File {
	if file := r.files[path]; file != nil {
		return file.File
	}
	return nil
}

// Count returns the number of errors and of warnings.
func (r Result) Count() (errs, warnings int) {
	for _, f := range r.Findings {
		if f.Severity == Error {
			errs++
		}
	}
	return errs, len(r.Findings) - errs
}

// Files checks hook files, files of hooks directories, and hooks directories. Later directories have precedence.
// program is the path of oci-add-hooks, which is never taken as a low-level runtime; empty if unknown.
func Files(program string, paths []string) Result {
	c := newChecker(program)
	var dirs []string
	for _, path := range paths {
		abs, _ := filepath.Abs(path) // fails only without a working directory
		switch st, err := os.Stat(path); {
		case err == nil && st.IsDir() && abs == profile.Dir:
			c.profiles()
		case err == nil && st.IsDir():
			dirs = append(dirs, path)
		case c.isRule(path):
			c.rule(path, "", newGroup())
		default:
			c.hookFile(path)
		}
	}
	c.directories(dirs, newGroup())
	return c.sorted()
}

// System checks everything on this system: the profiles, the directories that they name, and the two that Podman and
// CRI-O read.
func System(program string) Result {
	dirs := []string{profile.Dir, hooks.DefaultDir, hooks.OverrideDir}
	return Files(program, slices.DeleteFunc(dirs, func(dir string) bool {
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist)
	}))
}

// checker collects findings.
type checker struct {
	program  string
	result   Result
	broken   bool                // the runtime refuses the file: besides, only errors are reported
	told     map[string]bool     // findings, so that a directory that two hook files name is not reported twice
	exposed  map[string]bool     // reported places that others may write to
	features map[string]features // of runtimes, by path
}

func newChecker(program string) *checker {
	return &checker{
		program: program, told: map[string]bool{}, exposed: map[string]bool{}, features: map[string]features{},
		result: Result{Files: []string{}, Findings: []Finding{}, files: map[string]*source{}}, // not nil: JSON has no null
	}
}

// group is a source of hooks: a hook file with the directories that it names, or directories given directly.
type group struct {
	runtime     string             // the path of the low-level runtime; empty if none is known
	seen        map[string]string  // the place of each hook, by stage and canonical form
	supervision *hooks.Supervision // of the directories' hooks; nil if they are not supervised
}

func newGroup() *group { return &group{seen: map[string]string{}} }

// profiles checks the profiles of this system.
func (c *checker) profiles() {
	entries, err := os.ReadDir(profile.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.fail(&jsonfile.Error{Path: profile.Dir, Problem: "the profiles cannot be read: " + report.Plain(err).Error(), Remedy: report.Remedy(err)})
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		path := filepath.Join(profile.Dir, e.Name())
		c.hookFile(path)
		if !profile.ValidName(name) {
			c.warn("name", wholeOf(path), fmt.Sprintf("no link can select this profile: %q is not a valid name", name),
				"use a letter or digit, then letters, digits, '.', '_' and '-'")
		}
	}
}

// begin adds a file to the list of checked files.
func (c *checker) begin(path string) {
	if !slices.Contains(c.result.Files, path) {
		c.result.Files = append(c.result.Files, path)
	}
}

// isRule reports whether the file at path is a file of a hooks directory, judged by its members. If the member "hook"
// holds stages, it is a hook file with a misspelled "hooks".
func (c *checker) isRule(path string) bool {
	root, err := c.load(path)
	if err != nil || root.get("hook") == nil || root.get("hooks") != nil || root.get("hooksDirs") != nil {
		return false
	}
	return !slices.ContainsFunc(root.get("hook").members(), func(n *node) bool { return slices.Contains(hooks.Stages(), hooks.Stage(n.key)) })
}

// hookFile checks a hook file and the directories that it names. It checks all parts, even if one has an error.
func (c *checker) hookFile(path string) {
	c.begin(path)
	text, err := c.read(path)
	if err != nil {
		c.fail(err)
		return
	}
	file, err := hooks.ParseFile(text.File)
	c.fail(err)
	root, loadErr := c.load(path)
	if loadErr != nil {
		return // it is not JSON, which ParseFile has reported
	}
	c.broken = err != nil
	defer func() { c.broken = false }()
	c.exposure(root.wholeFile(), path)
	if root.get("ociVersion") == nil { // a whole config.json is a valid hook file
		c.unknownMembers(root, ignored, "runtime", "hooksDirs", "skipSandboxes", "supervise", "hooks")
	}
	g := newGroup()
	var read []hooks.Hook // the hooks that are still to come; none if the file is refused
	if err == nil {
		g.runtime, g.supervision = c.findRuntime(root, file.Runtime), file.Supervision
		c.supervisor(file)
		read = file.Hooks
	}
	for _, stage := range root.get("hooks").members() {
		name := hooks.Stage(stage.key)
		if len(stage.elements()) == 0 || !slices.Contains(hooks.Stages(), name) {
			continue
		}
		if name == hooks.Prestart {
			c.warnName("deprecated", stage, "prestart is deprecated by the runtime specification",
				"use createRuntime, which runs at the same moment")
		}
		c.stageInUse(g.runtime, name, stage)
		for _, hook := range stage.elements() {
			if hook.raw.Kind() != '{' {
				continue
			}
			c.unknownMembers(hook, passedOn, "path", "args", "env", "timeout", "supervise")
			h := hookOf(hook, []hooks.Stage{name})
			if len(read) > 0 {
				h.supervision, read = read[0].Supervision, read[1:]
			}
			if asked := cmp.Or(h.node.get("supervise"), root.get("supervise")); asked != nil && !asked.is(false) {
				c.neverSupervised(h, `use createContainer, or write "supervise": false`)
			}
			c.hook(h, Error)
			c.twice(g, h, name, hook.raw)
		}
	}
	c.directories(dirsOf(root), g)
}

// dirsOf returns the hooks directories that a hook file names, except those that are an error of the file.
func dirsOf(root *node) (dirs []string) {
	for _, n := range root.get("hooksDirs").elements() {
		if dir := n.text(); filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// directories checks hooks directories, given in increasing precedence.
func (c *checker) directories(dirs []string, g *group) {
	type file struct{ dir, name string }
	var files []file
	inForce := map[string]string{} // the file that has precedence, by name
	for i, dir := range dirs {
		if slices.ContainsFunc(dirs[i+1:], func(later string) bool { return program.LeadsTo(later, dir) }) {
			c.warn("duplicate", wholeOf(dir), "the hooks directory is named twice, and counts where it is named last", "name it once")
			continue
		}
		if _, err := hooks.ReadDirectories([]string{dir}); isAbout(err, dir) {
			c.fail(err)
			continue
		}
		entries, _ := os.ReadDir(dir) // ReadDirectories has reported any error
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if !strings.HasSuffix(e.Name(), ".json") {
				continue
			}
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				c.warn("never", wholeOf(path), "is a link that leads nowhere: it adds no hook", "correct the link, or remove it")
				continue
			}
			files = append(files, file{dir, e.Name()})
			inForce[e.Name()] = path
		}
	}
	for _, f := range files {
		path, by := filepath.Join(f.dir, f.name), inForce[f.name]
		if by == path {
			by = ""
		}
		c.rule(path, by, g)
	}
}

func isAbout(err error, path string) bool {
	var at *jsonfile.Error
	return errors.As(err, &at) && at.Path == path
}

// rule checks a file of a hooks directory. maskedBy is the path of the file that overrides it; empty if there is none.
func (c *checker) rule(path, maskedBy string, g *group) {
	c.begin(path)
	rule, err := hooks.ReadSingle(path)
	c.fail(err)
	root, loadErr := c.load(path)
	if loadErr != nil {
		return // it cannot be read or is not JSON, which ReadSingle has reported
	}
	defer func(was bool) { c.broken = was }(c.broken)
	c.broken = c.broken || err != nil
	whole := root.wholeFile()
	if maskedBy != "" {
		c.warn("masked", whole, "masked by "+maskedBy+", so that its hook is never added", "remove it, or rename one of them")
		return
	}
	old := root.get("version").text() != "1.0.0"
	h := hook{node: root, path: root.get("hook"), old: true}
	if old {
		c.unknownMembers(root, ignored, "version", "hook", "arguments", "stages", "stage", "cmds", "cmd", "annotations", "annotation", "hasbindmounts")
	} else {
		c.unknownMembers(root, ignored, "version", "hook", "when", "stages")
		c.unknownMembers(root.get("hook"), ignored, "path", "args", "env", "timeout")
		c.unknownMembers(root.get("when"), ignored, "always", "annotations", "commands", "hasBindMounts")
		h = hookOf(root.get("hook"), nil)
	}
	if err != nil {
		for _, stage := range append(root.get("stages").elements(), root.get("stage").elements()...) {
			h.stages = append(h.stages, hooks.Stage(stage.text()))
		}
		if h.node != nil { // otherwise it is missing, which ReadSingle has reported
			c.hook(h, Error)
		}
		return
	}
	h.stages = rule.Stages()
	unrunnable := Error
	never := c.conditions(root, old)
	if never {
		unrunnable = Warning // the hook is never run
	}
	if !h.inContainer() {
		h.supervision = g.supervision
	}
	if g.supervision != nil && !never {
		c.neverSupervised(h, "use createContainer")
	}
	for _, member := range []string{"stages", "stage"} {
		for _, stage := range root.get(member).list() {
			name := hooks.Stage(stage.text())
			if name == hooks.Prestart {
				c.warn("deprecated", stage, "prestart is deprecated by the runtime specification, and the hook is added to createRuntime",
					"write createRuntime")
				name = hooks.CreateRuntime
			}
			if slices.Contains(hooks.Stages(), name) {
				c.stageInUse(g.runtime, name, stage)
			}
			if !never {
				c.twice(g, h, name, rule.JSON())
			}
		}
	}
	if err := rule.Refused(); err != nil && !never {
		c.fail(err)
		c.broken = true
	}
	c.exposure(whole, path)
	c.hook(h, unrunnable)
}

// twice warns of a hook that is added to a stage twice.
func (c *checker) twice(g *group, h hook, stage hooks.Stage, hook jsontext.Value) {
	hook = hook.Clone()
	if err := hook.Canonicalize(jsontext.CanonicalizeRawInts(false)); err != nil {
		return // not reached: it has been parsed before
	}
	key := string(stage) + " " + string(hook)
	at := h.node.file.at(h.node.start, "", "", "")
	if before, seen := g.seen[key]; seen {
		c.warn("duplicate", h.node, fmt.Sprintf("the same hook is in %s already, at %s", stage, before), "remove one of the two")
		return
	}
	g.seen[key] = fmt.Sprintf("%s:%d:%d", at.Path, at.Line, at.Column)
}

// ignored and passedOn are what becomes of an unknown member.
const (
	ignored  = "which is ignored"
	passedOn = "which runtimes ignore" // it is copied into config.json
)

// unknownMembers warns of members that nothing reads.
func (c *checker) unknownMembers(object *node, become string, known ...string) {
	for _, member := range object.list() {
		if !slices.Contains(known, member.key) && member.key != WrittenBy {
			c.warnName("unknown-key", member, fmt.Sprintf("unknown member %q, %s", member.key, become),
				jsonfile.DidYouMean(member.key, known...)+"the members here are "+strings.Join(known, ", "))
		}
	}
}
