package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// Plan is what an installation, or its taking back, changes.
type Plan struct {
	Files []change.File // in order; the record among them

	// Note is what was not as it should be and hindered nothing, once the plan has been carried out; or empty.
	Note string

	engine   Engine
	runtime  Runtime
	expected bool // whether the runtime is there in the end

	forgetsDefault bool     // whether in the end the file names no default runtime any more
	folders        []string // to be removed in the end, if they are empty
}

// Reload says how the engine comes to know of what was planned.
func (p *Plan) Reload() Reload {
	if d, ok := p.engine.(*docker); ok && p.forgetsDefault {
		return d.restart()
	}
	return p.engine.Reload()
}

// Changes says whether there is anything to do.
func (p *Plan) Changes() bool {
	return slices.ContainsFunc(p.Files, func(f change.File) bool { return !f.Same() })
}

// Install plans to make an engine know r. What an earlier installation of that name changed is taken as if it were not
// there, so that a second one comes to the same result.
func Install(e Engine, r Runtime) (*Plan, error) {
	old, oldText, err := ReadRecord(e.Name(), r.Name)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Config != e.Config() {
		return nil, fmt.Errorf("%s is installed in %s already: uninstall it first", r.Name, old.Config)
	}
	now, err := e.view()
	if err != nil {
		return nil, err
	}
	base := func(path string) ([]byte, error) {
		_, text, err := takenBack(e, old, path)
		return text, err
	}
	files, err := e.Plan(r, base)
	if err != nil {
		return nil, err
	}
	if old == nil && now.knows(r.Name) {
		return nil, fmt.Errorf("%s has a runtime %s already%s, and hookctl did not put it there: take it out, or take another name for the profile", e.Name(), r.Name, now.naming(r.Name))
	}
	if old != nil { // what it changed and this one doesn't
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
	rec := &Record{Engine: e.Name(), Config: e.Config(), Name: r.Name, Link: r.Link, Files: []RecordedFile{}, Folders: []string{}}
	for i, f := range files {
		before, err := base(f.Path)
		if err != nil {
			return nil, err
		}
		now, err := change.Read(f.Path)
		if err != nil {
			return nil, err
		}
		if sameMeaning(f.Path, now, f.After) {
			files[i].After = now // somebody has written it in another way since
		}
		files[i].Before = now
		rec.Files = append(rec.Files, record(change.File{Path: f.Path, Before: before, After: files[i].After}))
		if before == nil {
			for _, folder := range change.MissingDirectories(filepath.Dir(f.Path)) {
				if !slices.Contains(rec.Folders, folder) {
					rec.Folders = append(rec.Folders, folder)
				}
			}
		}
	}
	if old != nil {
		rec.Folders = append(old.Folders, rec.Folders...)
	}
	plan := &Plan{engine: e, runtime: r, expected: true}
	if old != nil && old.Link == r.Link && !slices.ContainsFunc(files, func(f change.File) bool { return !f.Same() }) {
		return plan, nil // what is remembered of it stays, whatever else has been edited since
	}
	// The record comes first: whatever happens after, it is known what there is to take back.
	plan.Files = append(plan.Files, change.File{Path: recordPath(e.Name(), r.Name), Before: oldText, After: rec.marshal(), Mode: 0o600})
	plan.Files = append(plan.Files, files...)
	return plan, nil
}

// Uninstall plans to take back an installation.
func Uninstall(e Engine, r *Record, text []byte) (*Plan, error) {
	plan := &Plan{engine: e, runtime: Runtime{Name: r.Name, Link: r.Link}, folders: append([]string{State, filepath.Join(State, r.Engine)}, r.Folders...)}
	if was, err := e.view(); err == nil && was.standardName() == r.Name {
		if f, ok := r.file(e.Config()); ok {
			plan.forgetsDefault = e.Name() == "docker" && !strings.Contains(string(f.before()), defaultRuntime)
		}
	}
	for _, f := range slices.Backward(r.Files) { // references before what they refer to
		now, then, err := takenBack(e, r, f.Path)
		if err != nil {
			return nil, err
		}
		plan.Files = append(plan.Files, change.File{Path: f.Path, Before: now, After: then, Mode: 0o644})
	}
	heirs, err := inherit(e, r, plan.Files)
	if err != nil {
		return nil, err
	}
	plan.Files = append(append(plan.Files, heirs...), change.File{Path: recordPath(r.Engine, r.Name), Before: text})
	return plan, nil
}

// inherit gives the records of what else is installed in the same configuration as they are to be once r is taken back,
// which changes files so: what they found then is what there would have been without r.
func inherit(e Engine, r *Record, files []change.File) (changed []change.File, err error) {
	others, err := installed(e, r.Name)
	if err != nil {
		return nil, err
	}
	for _, other := range others {
		path := recordPath(e.Name(), other.Name)
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
			if digest(before) == ours.AfterSHA256 {
				before = ours.before()
			} else if before != nil {
				if before, err = e.Without(f.Path, before, r); err != nil {
					return nil, err
				}
			}
			after := f.AfterSHA256
			for _, g := range files {
				if g.Path == f.Path && digest(g.Before) == after {
					after = digest(g.After)
				}
			}
			other.Files[i] = record(change.File{Path: f.Path, Before: before})
			other.Files[i].AfterSHA256 = after
		}
		for _, folder := range r.Folders {
			if !slices.Contains(other.Folders, folder) {
				other.Folders = append(other.Folders, folder)
			}
		}
		slices.Sort(other.Folders) // outermost first
		changed = append(changed, change.File{Path: path, Before: text, After: other.marshal()})
	}
	return changed, nil
}

// takenBack gives the text of a file as it is now, and as it is without what r says was put there: as it was before, if
// nobody has changed it since, or else without that part alone.
func takenBack(e Engine, r *Record, path string) (now, then []byte, err error) {
	now, err = change.Read(path)
	if err != nil || r == nil || now == nil {
		return now, now, err
	}
	f, changed := r.file(path)
	switch {
	case !changed, digest(now) == f.BeforeSHA256:
		return now, now, nil
	case digest(now) == f.AfterSHA256:
		return now, f.before(), nil
	}
	then, err = e.Without(path, now, r)
	return now, then, err
}

// sameMeaning says whether two texts of a file say the same.
func sameMeaning(path string, a, b []byte) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	unmarshal := toml.Unmarshal
	if filepath.Ext(path) == ".json" {
		unmarshal = json.Unmarshal
	}
	var inA, inB table
	return unmarshal(a, &inA) == nil && unmarshal(b, &inB) == nil && reflect.DeepEqual(inA, inB)
}

// Step is a part of carrying out a plan that comes after its files are written.
type Step struct {
	Do   func() error
	Undo func() error // called after the files have been put back, if Do was; may be nil
}

// CarryOut does what was planned, and then each of steps. If anything fails, or ctx ends, all is put back.
//
// An installation needs an engine that takes its configuration as it is. To be taken back, it does not: the engine is then
// not asked about the result either.
func (p *Plan) CarryOut(ctx context.Context, steps ...Step) error {
	before, err := p.engine.view()
	if err != nil && p.expected {
		return err
	}
	if err != nil {
		p.Note = fmt.Sprintf("%s was not asked about the result, for it did not take its configuration before: %v", p.engine.Name(), err)
	}
	done, err := change.Apply(ctx, system.System{State: State}, p.Files)
	if err != nil {
		return err
	}
	if before != nil {
		var after *view
		if after, err = p.engine.view(); err != nil {
			err = fmt.Errorf("%s does not take the change: %w", p.engine.Name(), err)
		} else {
			err = p.judge(before, after)
		}
	}
	begun := 0
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		change.RemoveFolders(p.folders) // before what may take long, and end this program
	}
	for begun < len(steps) && err == nil {
		begun++
		if err = steps[begun-1].Do(); err == nil {
			err = ctx.Err()
		}
	}
	if err == nil {
		return nil
	}
	if undoErr := done.Undo(); undoErr != nil {
		return fmt.Errorf("%w\nand not everything could be put back: %w", err, undoErr)
	}
	cause := err.Error()
	err = fmt.Errorf("%w\neverything was put back", err)
	for _, step := range slices.Backward(steps[:begun]) {
		if step.Undo == nil {
			continue
		}
		if undoErr := step.Undo(); undoErr != nil && undoErr.Error() != cause { // what cannot be done need not be undone
			err = fmt.Errorf("%w, but: %w", err, undoErr)
		}
	}
	return err
}
