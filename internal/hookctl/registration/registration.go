// Package registration registers a profile with an engine as a runtime, and undoes that.
//
// It plans the change of the engine's files, and records it below the system's State, so that it can be undone even if
// others have edited the files since. It compares the result with what the engine itself reads. It does not know how an
// engine's files are written: that is in the implementations of package engine.
package registration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/proc"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// Plan is the change that an installation, or its removal, makes.
type Plan struct {
	Files    []change.File // in order, including the record
	Notes    []string      // messages for the user; CarryOut adds to them
	Reloaded bool          // whether CarryOut has had the engine read the change
	Record   *Record       // of an installation: the new record

	change   *change.Change
	engine   engine.Engine
	runtime  engine.Runtime
	expected bool // whether the runtime exists afterwards
}

// Reload returns how the engine is made to read the planned change.
func (p *Plan) Reload() engine.Reload { return p.engine.Reload(p.Files) }

// Changes reports whether there is anything to change.
func (p *Plan) Changes() bool {
	return slices.ContainsFunc(p.Files, func(f change.File) bool { return !f.Same() })
}

// Install plans to register r with an engine. It treats the changes of an earlier installation of that name as absent,
// so that a second one has the same result.
func Install(ctx context.Context, sys system.System, e engine.Engine, r engine.Runtime) (plan *Plan, err error) {
	defer func() { err = engine.ForProfile(err, r.Name) }()
	old, oldText, err := ReadRecord(sys, e.Name(), r.Name)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Config != e.Config() {
		return nil, fmt.Errorf("%s is installed in %s already: uninstall it first", r.Name, old.Config)
	}
	now, err := e.View(ctx)
	if err != nil {
		return nil, err
	}
	base := func(path string) ([]byte, error) {
		_, text, err := takenBack(sys, e, old, path)
		return text, err
	}
	records, err := others(sys, e, r.Name)
	if err != nil {
		return nil, err
	}
	for _, other := range records {
		r.Others = append(r.Others, other.Name)
	}
	files, err := e.Plan(ctx, r, base)
	if err != nil {
		return nil, err
	}
	if old == nil && now.Knows(r.Name) {
		return nil, fmt.Errorf("%s has a runtime %s already%s, and hookctl did not put it there: remove it, or choose another name for the profile", e.Name(), r.Name, now.Naming(r.Name))
	}
	if old != nil { // files that it changed and this one does not
		for _, f := range old.Files {
			if !slices.ContainsFunc(files, func(g change.File) bool { return g.Path == f.Path }) {
				text, err := base(f.Path)
				if err != nil {
					return nil, err
				}
				files = append(files, change.File{Path: f.Path, After: text})
			}
		}
	}
	rec := &Record{Engine: e.Name(), Config: e.Config(), Name: r.Name, Link: r.Link, Files: []RecordedFile{}}
	for i, f := range files {
		before, err := base(f.Path)
		if err != nil {
			return nil, err
		}
		now, err := change.Read(f.Path)
		if err != nil {
			return nil, err
		}
		f.After = endLinesAs(before, f.After)
		files[i].After = f.After
		if sameMeaning(f.Path, now, f.After) {
			files[i].After = now // somebody has reformatted it since
		}
		files[i].Before = now
		rec.Files = append(rec.Files, record(change.File{Path: f.Path, Before: before, After: files[i].After}))
	}
	plan = &Plan{change: change.Begin(sys), engine: e, runtime: r, expected: true, Record: old}
	if advice := e.Advice(r); advice != "" {
		plan.Notes = append(plan.Notes, advice)
	}
	if old != nil && old.Link == r.Link && !slices.ContainsFunc(files, func(f change.File) bool { return !f.Same() }) {
		return plan, plan.judge(now, now) // the record stays, whatever else was edited since
	}
	// The record comes first: whatever happens later, it says what has to be undone.
	plan.Record = rec
	plan.Files = append(plan.Files, change.File{Path: recordPath(sys, e.Name(), r.Name), Before: oldText, After: rec.marshal(), Mode: 0o600})
	plan.Files = append(plan.Files, files...)
	return plan, nil
}

// Uninstall plans to undo an installation.
func Uninstall(sys system.System, e engine.Engine, r *Record, text []byte) (*Plan, error) {
	plan := Gone(sys, e, engine.Runtime{Name: r.Name, Link: r.Link})
	for _, f := range slices.Backward(r.Files) { // references before the files that they refer to
		now, then, err := takenBack(sys, e, r, f.Path)
		if err != nil {
			return nil, err
		}
		plan.Files = append(plan.Files, change.File{Path: f.Path, Before: now, After: then, Mode: 0o644})
	}
	heirs, err := inherit(sys, e, r, plan.Files)
	if err != nil {
		return nil, err
	}
	plan.Files = append(append(plan.Files, heirs...), change.File{Path: recordPath(sys, r.Engine, r.Name), Before: text})
	return plan, nil
}

// Gone returns a plan without changes, after which the engine must not know r.
func Gone(sys system.System, e engine.Engine, r engine.Runtime) *Plan {
	return &Plan{change: change.Begin(sys), engine: e, runtime: r}
}

// inherit returns the changes to the records of other installations in the same configuration when the removal of r
// makes the changes in files. Their Before becomes the text that there would have been without r.
func inherit(sys system.System, e engine.Engine, r *Record, files []change.File) (changed []change.File, err error) {
	records, err := others(sys, e, r.Name)
	if err != nil {
		return nil, err
	}
	was, err := r.installed(sys, e)
	if err != nil {
		return nil, err
	}
	for _, other := range records {
		path := recordPath(sys, e.Name(), other.Name)
		text, err := change.Read(path)
		if err != nil {
			return nil, err
		}
		for i, f := range other.Files {
			ours, shared := r.file(f.Path)
			if !shared {
				continue
			}
			before := f.before()
			if change.Digest(before) == ours.AfterSHA256 {
				before = ours.before()
			} else if before != nil {
				if before, err = e.Without(f.Path, before, was); err != nil {
					return nil, err
				}
			}
			after := f.AfterSHA256
			for _, g := range files {
				if g.Path == f.Path && change.Digest(g.Before) == after {
					after = change.Digest(g.After)
				}
			}
			other.Files[i] = record(change.File{Path: f.Path, Before: before})
			other.Files[i].AfterSHA256 = after
		}
		changed = append(changed, change.File{Path: path, Before: text, After: other.marshal()})
	}
	return changed, nil
}

// takenBack returns the current text of a file, and its text without what r added: the text before r if nobody has
// changed it since, or else the current text without r's part.
func takenBack(sys system.System, e engine.Engine, r *Record, path string) (now, then []byte, err error) {
	now, err = change.Read(path)
	if err != nil || r == nil || now == nil {
		return now, now, err
	}
	f, changed := r.file(path)
	switch {
	case !changed, change.Digest(now) == f.BeforeSHA256:
		return now, now, nil
	case change.Digest(now) == f.AfterSHA256:
		return now, f.before(), nil
	}
	was, err := r.installed(sys, e)
	if err != nil {
		return nil, nil, err
	}
	then, err = e.Without(path, now, was)
	return now, endLinesAs(now, then), err
}

// endLinesAs ends the lines of a text with CR LF, as some editors do, if all lines of before end that way.
func endLinesAs(before, text []byte) []byte {
	lines := bytes.Count(before, []byte("\n"))
	if lines == 0 || bytes.Count(before, []byte("\r\n")) != lines {
		return text
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// sameMeaning reports whether two texts of a file have the same meaning.
func sameMeaning(path string, a, b []byte) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	inA, errA := engine.Tree(path, a)
	inB, errB := engine.Tree(path, b)
	return errA == nil && errB == nil && reflect.DeepEqual(inA, inB)
}

// Refuse returns an error that begins with what if an engine of list has a runtime that uses what matches recognizes
// (see program.Uses), also through scripts. It also returns one if that is unknown, for example because unknown says
// that list is incomplete.
func Refuse(ctx context.Context, what string, list []engine.Engine, unknown error, matches func(word string) bool) error {
	var lines, doubts []string
	if unknown != nil {
		doubts = append(doubts, unknown.Error())
	}
	for _, e := range list {
		registered, err := e.Registered(ctx)
		if err != nil {
			doubts = append(doubts, e.Name()+": "+err.Error())
			continue
		}
		for _, entry := range registered.Entries {
			words, err := program.Words(proc.Below("/"), append([]string{entry.Path}, entry.Args...))
			if slices.ContainsFunc(words, matches) {
				lines = append(lines, fmt.Sprintf("%s has the runtime %s, which calls %s", e.Name(), entry.Name, entry.Path))
			} else if err != nil {
				doubts = append(doubts, fmt.Sprintf("the runtime %s of %s: %v", entry.Name, e.Name(), err))
			}
		}
	}
	switch {
	case len(lines) > 0:
		return fmt.Errorf("%s; remove it from the engine first, or give --force:\n  %s", what, strings.Join(lines, "\n  "))
	case len(doubts) > 0:
		return fmt.Errorf("%s: it is unknown whether an engine uses it; give --force if you know that none does:\n  %s", what, strings.Join(doubts, "\n  "))
	}
	return nil
}

// Step is a step of carrying out a plan that follows the change of its files.
type Step struct {
	Do   func(context.Context) error
	Undo func(context.Context) error // called after the files have been restored, if Do was called; may be nil
}

// Reloading returns the step in which the engine reads its configuration, after which it must itself report the change.
// An error says why that is impossible here. The removal of an installation does not need an engine that answers.
func (p *Plan) Reloading(ctx context.Context) (Step, error) {
	reload := p.Reload()
	if reload.Refused != nil {
		return Step{}, reload.Refused
	}
	if _, err := p.engine.Known(ctx); err != nil && p.expected {
		return Step{}, err
	}
	return Step{
		Do: func(ctx context.Context) error {
			err := p.change.Advise(p.advice())
			if err == nil {
				err = reload.Do(ctx)
			}
			if err == nil {
				err = p.settle(ctx)
			}
			p.Reloaded = err == nil
			return err
		},
		Undo: reload.Do,
	}, nil
}

// advice returns what the user has to do if the change is undone after the engine may have read it.
func (p *Plan) advice() string {
	back := slices.Clone(p.Files)
	for i, f := range back {
		back[i].Before, back[i].After = f.After, f.Before
	}
	command := p.engine.Reload(back).Command
	if command == "" {
		return ""
	}
	return fmt.Sprintf("%s may have read it: to make it read the current files again, run: %s", p.engine.Name(), command)
}

const (
	// settling is how long a daemon may take to report what it has read. A daemon that restarts first scans its
	// containers.
	settling = 30 * time.Second
	// forgetting is how long a daemon may take to stop reporting what was removed.
	forgetting = 2 * time.Second
)

// settle waits until the engine itself reports the change. If it still knows a removed runtime, that is only noted:
// dockerd keeps all runtimes if daemon.json no longer has any.
func (p *Plan) settle(ctx context.Context) error {
	begun := time.Now()
	return engine.Settled(ctx, settling, func(ctx context.Context) error {
		if d := p.engine.Daemon(); d != nil { // another process, after a restart
			if err := d.Renew(); err != nil {
				return err
			}
		}
		err := p.confirm(ctx)
		if err == errKept && time.Since(begun) > forgetting {
			p.Notes = append(p.Notes, fmt.Sprintf("%s has read its configuration, and keeps the runtime %s until it is restarted", p.engine.Name(), p.runtime.Name))
			return nil
		}
		return err
	})
}

const errKept = unread("the engine still knows the runtime")

// Unread reports whether the engine runs and has not read yet what the plan is about: its configuration may have been
// changed without a reload, or an earlier call was killed before the reload.
func (p *Plan) Unread(ctx context.Context) (bool, error) {
	if d := p.engine.Daemon(); d != nil && d.Process == nil {
		return false, nil
	}
	err := p.confirm(ctx)
	var unread unread
	if errors.As(err, &unread) {
		return true, nil
	}
	return false, err
}

// unread is an error about what an engine reports.
type unread string

func (e unread) Error() string { return string(e) }

// confirm asks the running engine whether it knows what the plan is about.
func (p *Plan) confirm(ctx context.Context) error {
	known, err := p.engine.Known(ctx)
	if err != nil {
		return err
	}
	name, entry := p.runtime.Name, known.Entry(p.runtime.Name)
	problem := ""
	switch {
	case !p.expected && entry != nil && entry.Path == p.runtime.Link:
		return errKept
	case !p.expected:
	case entry == nil:
		problem = "does not know the runtime " + name
	case entry.Path != p.runtime.Link:
		problem = fmt.Sprintf("calls %s for the runtime %s, not %s", entry.Path, name, p.runtime.Link)
	case p.runtime.Default && !entry.Default:
		problem = "its default runtime is not " + name
	}
	if problem == "" {
		return nil
	}
	return unread(p.engine.Name() + " has read its configuration, and " + problem)
}

// Perform carries out the plan, if there is anything to do. With reload set, the engine reads the change.
func (p *Plan) Perform(ctx context.Context, reload bool) error {
	if !reload {
		if !p.Changes() {
			return nil
		}
		return p.CarryOut(ctx)
	}
	if !p.Changes() {
		if unread, err := p.Unread(ctx); err != nil || !unread {
			return err
		}
	}
	step, err := p.Reloading(ctx)
	if err != nil {
		return err
	}
	return p.CarryOut(ctx, step)
}

// CarryOut carries out the plan, and then each of steps. If anything fails, or ctx ends, it restores everything. If it
// is killed, the next call of hookctl does that.
//
// An installation needs an engine that accepts its current configuration. A removal does not; the engine is then not
// asked about the result either.
func (p *Plan) CarryOut(ctx context.Context, steps ...Step) error {
	steps = slices.Concat([]Step{{Do: p.apply}}, steps, []Step{{Do: func(context.Context) error { return p.change.Keep() }}})
	var err error
	begun := 0
	for begun < len(steps) && err == nil && ctx.Err() == nil {
		begun++
		err = steps[begun-1].Do(ctx)
	}
	if ctx.Err() != nil && (begun < len(steps) || err != nil) {
		err = fmt.Errorf("interrupted: %w", context.Cause(ctx)) // instead of the error that it caused
	}
	if err == nil {
		return nil
	}
	if undoErr := p.change.Undo(); undoErr != nil {
		return fmt.Errorf("%w\nand not everything was restored: %w", err, undoErr)
	}
	err = fmt.Errorf("%w\neverything was restored", err)
	for _, step := range slices.Backward(steps[:begun]) {
		if step.Undo == nil {
			continue
		}
		if undoErr := step.Undo(context.WithoutCancel(ctx)); undoErr != nil {
			err = fmt.Errorf("%w, but: %w", err, undoErr)
		}
	}
	return err
}

// apply changes the files, and compares the result with what the engine reads.
func (p *Plan) apply(ctx context.Context) error {
	before, err := p.engine.View(ctx)
	if err != nil && (p.expected || ctx.Err() != nil) {
		return err
	}
	if err != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("%s was not asked about the result, because it did not accept its configuration before: %v", p.engine.Name(), err))
	}
	if err := p.change.Apply(ctx, p.Files); err != nil || before == nil {
		return err
	}
	after, err := p.engine.View(ctx)
	if err != nil {
		return fmt.Errorf("%s does not accept the change: %w", p.engine.Name(), err)
	}
	return p.judge(before, after)
}
