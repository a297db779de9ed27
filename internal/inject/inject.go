// Package inject is the pipeline itself: it makes a plan (what would be added to a bundle, from which file, and why or
// why not) and carries it out. The runtime carries the plan out, and tools show it, so that they cannot drift apart.
//
// It knows nothing of engines and of the command line.
package inject

import (
	"fmt"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/bundle"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// Plan is what would be added to a bundle.
type Plan struct {
	ConfigPath string
	Decisions  []Decision // in the order of the stages; within a stage, hook files first
	Text       []byte     // the new config.json; nil if it stays as it is

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

// Decision is what becomes of one hook, and why.
type Decision struct {
	Stage   hooks.Stage
	Path    string // the hook's program
	File    string // the hook file that it comes from
	Verdict Verdict
	Reason  fmt.Stringer // nil where there is nothing to say: a hook file's hooks are added to every container
}

// text is a reason that is always the same.
type text string

func (t text) String() string { return string(t) }

const sandbox = text("sandbox container of a Kubernetes pod")

// Make plans what a call that uses profile p adds to the config.json at configPath. If there is no hook that could be
// added, config.json is not read.
func Make(p profile.Profile, configPath string) (*Plan, error) {
	plan := &Plan{ConfigPath: configPath}
	candidates, facts := false, false
	for _, f := range p.Files {
		candidates = candidates || len(f.Hooks) > 0
		facts = facts || f.SkipSandboxes && len(f.Hooks) > 0
	}
	if !candidates {
		return plan, nil
	}
	var err error
	if plan.config, err = bundle.Read(configPath, facts); err != nil {
		return nil, err
	}
	var additions []bundle.Addition
	for _, stage := range hooks.Stages() {
		addition, err := plan.decide(stage, p)
		if err != nil {
			return nil, err
		}
		if len(addition.Prepend)+len(addition.Append) > 0 {
			additions = append(additions, addition)
		}
	}
	if len(additions) > 0 {
		plan.Text, err = plan.config.Splice(additions)
	}
	return plan, err
}

// decide gives what is to be added to a stage, and notes its decisions.
func (plan *Plan) decide(stage hooks.Stage, p profile.Profile) (bundle.Addition, error) {
	a := bundle.Addition{Stage: stage}
	first := len(plan.Decisions)
	for _, f := range p.Files {
		skip := f.SkipSandboxes && plan.config.Facts.IsSandbox()
		for _, h := range f.Hooks {
			if h.Stage != stage {
				continue
			}
			d := Decision{Stage: stage, Path: h.Path, File: f.Path, Verdict: Added}
			if skip {
				d.Verdict, d.Reason = NotAdded, sandbox
			} else {
				a.Prepend = append(a.Prepend, h.JSON)
			}
			plan.Decisions = append(plan.Decisions, d)
		}
	}
	there, err := plan.config.Has(stage, a.Prepend)
	if there {
		a.Prepend = nil
		alreadyThere(plan.Decisions[first:])
	}
	return a, err
}

func alreadyThere(decisions []Decision) {
	for i := range decisions {
		if decisions[i].Verdict == Added {
			decisions[i].Verdict = AlreadyThere
		}
	}
}

// CarryOut writes the new config.json, if there is anything to add.
func (plan *Plan) CarryOut() error {
	if plan.Text == nil {
		return nil
	}
	return plan.config.Replace(plan.Text)
}

// String tells in one line what the plan adds, from which files.
func (plan *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", plan.ConfigPath)
	for _, d := range plan.Decisions {
		fmt.Fprintf(&b, " %s %s from %s: %s", d.Stage, d.Path, d.File, d.Verdict)
		if d.Reason != nil {
			fmt.Fprintf(&b, " (%s)", d.Reason)
		}
		b.WriteByte(';')
	}
	if len(plan.Decisions) == 0 {
		b.WriteString(" no hooks")
	}
	return strings.TrimSuffix(b.String(), ";")
}
