// Package inject is the pipeline itself: it makes a plan (what would be added to a bundle, from which file, and why or
// why not) and carries it out. The runtime carries the plan out, and tools show it, so that they cannot drift apart.
//
// It knows nothing of engines and of the command line.
package inject

import (
	"errors"
	"fmt"
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
	Text       jsonfile.Text // the new config.json; nil if it stays as it is

	uses   profile.Profile
	dirs   *hooks.Directories
	id     string
	config *bundle.Config
}

// Verdict is what becomes of a hook.
type Verdict string

// The verdicts.
const (
	Added        Verdict = "added"
	AlreadyThere Verdict = "already there" // config.json holds this hook, with its neighbours, already
	NotAdded     Verdict = "not added"
)

// Decision is what becomes of one hook at one stage, and why.
type Decision struct {
	Stage   hooks.Stage // empty for a file of a hooks directory that names no stage
	Path    string      // the hook's program
	File    string      // the hook file, or the file of a hooks directory, that it comes from
	Verdict Verdict
	Reason  hooks.Reason // empty where there is nothing to say: a hook file's hooks are added to every container

	Supervised *Supervised // how the hook is run; nil if it is not supervised, or not added
}

// Make plans what a call that uses profile p adds to the config.json at configPath of the container with the given id; ""
// if it is not known, and then no container is taken for a sandbox. If there is no hook that could be added, config.json is
// not read.
func Make(p profile.Profile, configPath, id string) (*Plan, error) {
	dirs, err := hooks.ReadDirectories(p.Dirs)
	if err != nil {
		return nil, err
	}
	return MakeWith(p, dirs, configPath, id)
}

// MakeWith is Make where the profile's hooks directories have been read, as they are once for many containers.
func MakeWith(p profile.Profile, dirs *hooks.Directories, configPath, id string) (*Plan, error) {
	plan := &Plan{ConfigPath: configPath, uses: p, dirs: dirs, id: id}
	if err := plan.make(); err != nil {
		return nil, err
	}
	return plan, nil
}

// make makes the plan for config.json as it is now.
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

// block is the hooks of one origin for one stage: what is decided about each, and those to be added.
type block struct {
	decisions []Decision
	hooks     []jsontext.Value
}

// add adds a hook to a block, run as how says; how is nil if it is not supervised.
func (s *superviser) add(b *block, d Decision, hook jsontext.Value, how *hooks.Supervision, profile string) (err error) {
	if d.Verdict == Added {
		if how != nil {
			if hook, d.Supervised, err = s.entry(how, d.Stage, d.File, profile, hook); err != nil {
				return err
			}
		}
		b.hooks = append(b.hooks, hook)
	}
	b.decisions = append(b.decisions, d)
	return nil
}

// fromFiles returns the block of hook files.
func (s *superviser) fromFiles(stage hooks.Stage, files []*hooks.File) (b block, err error) {
	for _, f := range files {
		for _, h := range f.Hooks {
			if h.Stage != stage {
				continue
			}
			d := Decision{Stage: stage, Path: h.Path, File: f.Path, Verdict: Added}
			if f.SkipSandboxes && s.facts.IsSandbox() {
				d.Verdict, d.Reason = NotAdded, hooks.Reason{{About: hooks.Sandbox}}
			}
			if err := s.add(&b, d, h.JSON, h.Supervision, profileName(f.Path)); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}

// fromDirectories returns the block of hooks directories. Their hooks are run as the hook file says that names the
// directory.
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
				if err := s.add(&b, d, f.JSON, how, profile); err != nil {
					return b, err
				}
			}
		}
	}
	return b, nil
}

// missing notes the decisions about a block, and gives its hooks, or none if config.json holds the block already.
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

// mostTries is how often CarryOut begins again.
const mostTries = 3

// CarryOut writes the new config.json, if there is anything to add. If it has become another file since the plan was made,
// which another call on the same bundle may have done, the plan is made again.
func (plan *Plan) CarryOut() error {
	if plan.Text == nil {
		return nil
	}
	unlock, err := plan.config.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	for try := 0; ; try++ {
		err := plan.config.Replace(plan.Text)
		if try == mostTries || !errors.Is(err, jsonfile.ErrChanged) {
			return err
		}
		if err := plan.make(); err != nil || plan.Text == nil {
			return err
		}
	}
}

// String tells in one line what the plan adds, from which files.
func (plan *Plan) String() string {
	var told []string
	for _, d := range plan.Decisions {
		if d.Verdict == NotAdded {
			continue
		}
		line := fmt.Sprintf("%s %s from %s: %s", d.Stage, d.Path, d.File, d.Verdict)
		if d.Supervised != nil {
			line += ", " + d.Supervised.String()
		}
		told = append(told, line)
	}
	if len(told) == 0 {
		told = []string{"no hooks added"}
	}
	return plan.ConfigPath + ": " + strings.Join(told, "; ")
}
