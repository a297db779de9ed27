// Package inject makes a plan and carries it out. A plan says which hooks are added to a bundle, from which file, and
// why or why not. oci-add-hooks carries the plan out, and hookctl shows the same plan, so that the two cannot differ.
//
// It knows nothing about engines or the command line.
package inject

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/bundle"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// Plan is what would be added to a bundle.
type Plan struct {
	ConfigPath string
	Decisions  []Decision    // in the order of the stages; within a stage, hook files first
	Text       jsonfile.Text // the new config.json; nil if it does not change

	uses   profile.Profile
	dirs   *hooks.Directories
	id     string
	config *bundle.Config
}

// Verdict is whether a hook is added.
type Verdict string

// The verdicts.
const (
	Added        Verdict = "added"
	AlreadyThere Verdict = "already there" // config.json already holds the hook's whole block (rule 13)
	NotAdded     Verdict = "not added"
)

// Decision is whether one hook is added at one stage, and why.
type Decision struct {
	Stage   hooks.Stage // empty for a file of a hooks directory that names no stage
	Path    string      // the path of the hook's program
	File    string      // the path of the hook file, or of the file in a hooks directory, that defines the hook
	Verdict Verdict
	Reason  hooks.Reason // empty if none is needed: a hook file's hooks are added to every container

	Supervised *Supervised // how the hook is supervised; nil if it is not supervised, or not added
}

// Make returns the plan for a call that uses profile p, for the config.json at configPath and the container id. If id
// is "", which means unknown, no container counts as a sandbox. Make does not read config.json if there is no hook to
// add.
func Make(p profile.Profile, configPath, id string) (*Plan, error) {
	dirs, err := hooks.ReadDirectories(p.Dirs)
	if err != nil {
		return nil, err
	}
	return MakeWith(p, dirs, configPath, id)
}

// MakeWith is like Make, but takes the profile's hooks directories already read. A caller with many containers reads
// them once.
func MakeWith(p profile.Profile, dirs *hooks.Directories, configPath, id string) (*Plan, error) {
	plan := &Plan{ConfigPath: configPath, uses: p, dirs: dirs, id: id}
	if err := plan.make(); err != nil {
		return nil, err
	}
	return plan, nil
}

// make makes the plan for the current config.json.
func (plan *Plan) make() (err error) {
	plan.Decisions, plan.Text = nil, nil
	candidates, facts := !plan.dirs.Empty(), !plan.dirs.Empty()
	for _, f := range plan.uses.Files {
		candidates = candidates || len(f.Hooks) > 0
		facts = facts || f.SkipSandboxes && len(f.Hooks) > 0
		for _, h := range f.Hooks {
			facts = facts || h.Supervision.AsksFacts()
		}
	}
	if !candidates {
		return nil
	}
	if plan.config, err = bundle.Read(plan.ConfigPath, plan.id, facts); err != nil {
		return err
	}
	conditional, err := plan.dirs.Decide(plan.config.Facts)
	if err != nil {
		return err
	}
	super := &superviser{facts: plan.config.Facts, self: plan.uses.Program}
	var additions []bundle.Addition
	for _, stage := range hooks.Stages() {
		a := bundle.Addition{Stage: stage}
		files, err := super.fromFiles(stage, plan.uses.Files)
		if err != nil {
			return err
		}
		if a.Prepend, err = plan.missing(stage, files); err != nil {
			return err
		}
		directories, err := super.fromDirectories(stage, plan.uses, conditional)
		if err != nil {
			return err
		}
		if a.Append, err = plan.missing(stage, directories); err != nil {
			return err
		}
		if len(a.Prepend)+len(a.Append) > 0 {
			additions = append(additions, a)
		}
	}
	for _, d := range conditional {
		if len(d.Stages) == 0 {
			plan.Decisions = append(plan.Decisions, Decision{Path: d.Path, File: d.File, Verdict: NotAdded, Reason: d.Reason})
		}
	}
	if len(additions) > 0 {
		plan.Text, err = plan.config.Splice(additions)
	}
	return err
}

// block holds the hooks of one origin for one stage: the decision about each hook, and the hook objects to add.
type block struct {
	decisions []Decision
	hooks     []jsontext.Value
}

// add adds a hook to a block, supervised as how says; how is nil for a hook without supervision. place is its
// JSON pointer in a hook file, or the name of its file in a directory.
func (s *superviser) add(b *block, d Decision, hook jsontext.Value, how *hooks.Supervision, place, profile string) (err error) {
	if d.Verdict == Added {
		if how != nil {
			if hook, d.Supervised, err = s.entry(how, d.Stage, d.File, place, profile, hook); err != nil {
				return err
			}
		}
		b.hooks = append(b.hooks, hook)
	}
	b.decisions = append(b.decisions, d)
	return nil
}

// fromFiles returns the block of the hook files' hooks for a stage.
func (s *superviser) fromFiles(stage hooks.Stage, files []*hooks.File) (b block, err error) {
	for _, f := range files {
		index := -1 // in the stage's array
		for _, h := range f.Hooks {
			if h.Stage != stage {
				continue
			}
			index++
			d := Decision{Stage: stage, Path: h.Path, File: f.Path, Verdict: Added}
			if f.SkipSandboxes && s.facts.IsSandbox() {
				d.Verdict, d.Reason = NotAdded, hooks.Reason{{About: hooks.Sandbox}}
			}
			place := ""
			if h.Supervision != nil {
				place = "/hooks/" + string(stage) + "/" + strconv.Itoa(index)
			}
			if err := s.add(&b, d, h.JSON, h.Supervision, place, profileName(f.Path)); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}

// fromDirectories returns the block of the hooks directories' hooks for a stage. The hook file that names a directory
// decides about the supervision of its hooks.
func (s *superviser) fromDirectories(stage hooks.Stage, p profile.Profile, files []hooks.Decision) (b block, err error) {
	for _, f := range files {
		d := Decision{Stage: stage, Path: f.Path, File: f.File, Verdict: Added, Reason: f.Reason}
		if !f.Added {
			d.Verdict = NotAdded
		}
		var how *hooks.Supervision
		profile := ""
		if by := p.NamedBy(f.Dir); by != nil && stage != hooks.StartContainer {
			how, profile = by.Supervision, profileName(by.Path)
		}
		for _, named := range f.Stages {
			if named == stage {
				if err := s.add(&b, d, f.JSON, how, filepath.Base(f.File), profile); err != nil {
					return b, err
				}
			}
		}
	}
	return b, nil
}

// missing adds a block's decisions to the plan. It returns the block's hooks, or none if config.json already holds the
// block.
func (plan *Plan) missing(stage hooks.Stage, b block) ([]jsontext.Value, error) {
	there, err := plan.config.Has(stage, b.hooks)
	if err != nil {
		return nil, err
	}
	if there {
		b.hooks = nil
		for i := range b.decisions {
			if b.decisions[i].Verdict == Added {
				b.decisions[i].Verdict = AlreadyThere
			}
		}
	}
	plan.Decisions = append(plan.Decisions, b.decisions...)
	return b.hooks, nil
}

// mostTries is how often CarryOut retries.
const mostTries = 3

// CarryOut writes the new config.json, if there is anything to add. If the file has changed since the plan was made,
// perhaps by another call on the same bundle, CarryOut makes the plan again.
func (plan *Plan) CarryOut() error {
	if plan.Text == nil {
		return nil
	}
	place, err := plan.config.Lock()
	if err != nil {
		return err
	}
	defer place.Unlock()
	for try := 0; ; try++ {
		err := plan.config.Replace(place, plan.Text)
		if try == mostTries || !errors.Is(err, jsonfile.ErrChanged) {
			return err
		}
		if err := plan.make(); err != nil || plan.Text == nil {
			return err
		}
	}
}

// String returns one line that says which hooks the plan adds, from which files.
func (plan *Plan) String() string {
	var added []string
	for _, d := range plan.Decisions {
		if d.Verdict == NotAdded {
			continue
		}
		line := fmt.Sprintf("%s %s from %s: %s", d.Stage, d.Path, d.File, d.Verdict)
		if d.Supervised != nil {
			line += ", " + d.Supervised.String()
		}
		added = append(added, line)
	}
	if len(added) == 0 {
		added = []string{"no hooks added"}
	}
	return plan.ConfigPath + ": " + strings.Join(added, "; ")
}
