package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
)

// Plan is what an installation, or its taking back, changes.
type Plan struct {
	Files []change.File // in order; the record among them

	engine   Engine
	name     string
	expected bool     // whether the runtime is there in the end
	folders  []string // to be removed in the end, if they are empty
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
	base := func(path string) ([]byte, error) {
		_, text, err := takenBack(e, old, path)
		return text, err
	}
	files, err := e.Plan(r, base)
	if err != nil {
		return nil, err
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
			rec.Folders = append(rec.Folders, missingFolders(f.Path, rec.Folders)...)
		}
	}
	if old != nil {
		rec.Folders = append(old.Folders, rec.Folders...)
	}
	plan := &Plan{engine: e, name: r.Name, expected: true}
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
	plan := &Plan{engine: e, name: r.Name, folders: append([]string{State, filepath.Join(State, r.Engine)}, r.Folders...)}
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
	for _, name := range others {
		other, text, err := ReadRecord(e.Name(), name)
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
		changed = append(changed, change.File{Path: recordPath(e.Name(), name), Before: text, After: other.marshal()})
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
	decode := toml.Unmarshal
	if filepath.Ext(path) == ".json" {
		decode = json.Unmarshal
	}
	var inA, inB map[string]any
	return decode(a, &inA) == nil && decode(b, &inB) == nil && reflect.DeepEqual(inA, inB)
}

// missingFolders gives the folders above path that there are not, and that are not known, outermost first.
func missingFolders(path string, known []string) (missing []string) {
	for dir := filepath.Dir(path); !slices.Contains(known, dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			break
		}
		missing = append([]string{dir}, missing...)
	}
	return missing
}

// CarryOut does what was planned, and then calls each of more. If anything fails, or ctx ends, all is put back, and the
// engine is asked to read that, if it may have read the other.
func (p *Plan) CarryOut(ctx context.Context, more ...func() error) error {
	verify, err := p.engine.Watch(p.name)
	if err != nil {
		return err
	}
	done, err := change.Apply(p.Files)
	if err != nil {
		return err
	}
	for _, step := range append([]func() error{func() error { return verify(p.expected) }}, more...) {
		if err = ctx.Err(); err == nil {
			err = step()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%w\neverything was put back", err), done.Undo())
		}
	}
	change.RemoveFolders(p.folders)
	return nil
}
