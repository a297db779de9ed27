package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/history"
	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// Records are the results of containers' supervised hooks, by the container's id. A container without failed or missed
// hooks has no entry: the files may have records of hundreds of thousands of containers.
type Records map[string]*outcome

// outcome is the result of a container's hooks, according to the records.
type outcome struct {
	failed []*hooklog.Record // the last run of each hook whose last run failed, oldest first
	missed *hooklog.Record   // the latest record, if poststop hooks have yet to run; else nil
}

// settling is the minimum age of a container's last record before its poststop hooks count as missed: the container may
// just be ending.
const settling = 2 * time.Second

// ReadRecords reads the records in the file at path and in its rotated predecessors. It returns the number of lines
// that it skipped because they hold no record.
func ReadRecords(path string) (Records, int, error) {
	records := Records{}
	torn, err := hooklog.Read(path, func(r *hooklog.Record) error {
		r.Args, r.Stdout, r.Stderr = nil, "", ""
		records.add(r)
		return nil
	})
	return records, torn, err
}

// add adds the next record.
func (records Records) add(r *hooklog.Record) {
	o := records[r.Container]
	if o == nil {
		o = &outcome{}
		records[r.Container] = o
	}
	o.failed = slices.DeleteFunc(o.failed, func(before *hooklog.Record) bool { return before.Stage == r.Stage && before.Path == r.Path })
	if !r.OK() {
		o.failed = append(o.failed, r)
	}
	switch {
	case r.Stage == string(hooks.Poststop):
		o.missed = nil // the next container with that id may miss them again
	case !r.OK() && !r.Ignored: // the container was not created
		o.missed = nil
	default:
		o.missed = r
	}
	if len(o.failed) == 0 && o.missed == nil {
		delete(records, r.Container)
	}
}

// Note adds to the problems of containers how the last run of each hook failed, according to the records. It returns
// entries for removed containers, those not in found, whose poststop hooks never ran: if a hook of the profile is
// supervised at that stage, and nothing failed before. The records must be read before containers are looked for.
func (v *Inventory) Note(list []Entry, records Records, found []container.Container) []Entry {
	for i := range list {
		list[i].Problems = append(list[i].Problems, records[list[i].ID].failures()...)
	}
	exists := map[string]bool{}
	for _, c := range found {
		exists[c.ID] = true
	}
	var gone []Entry
	for id, of := range records {
		if exists[id] {
			continue
		}
		if e, missed := v.missed(of); missed && v.wanted(e) {
			gone = append(gone, e)
		}
	}
	slices.SortFunc(gone, func(a, b Entry) int { return strings.Compare(a.ID, b.ID) })
	return append(list, gone...)
}

// failures returns a text for each hook whose last run failed.
func (o *outcome) failures() (failures []string) {
	if o == nil {
		return nil
	}
	for _, r := range o.failed {
		text := fmt.Sprintf("%s hook %s %s", r.Stage, r.Path, r.Result)
		switch {
		case r.Error != "":
			text += ": " + r.Error
		case r.Signal != "":
			text += ": " + r.Signal
		case r.ExitStatus != nil:
			text += fmt.Sprintf(": exit status %d", *r.ExitStatus)
		}
		if r.Ignored {
			text += ", which was ignored"
		}
		failures = append(failures, text)
	}
	return failures
}

// missed reports whether the poststop hooks of a removed container never ran.
func (v *Inventory) missed(o *outcome) (e Entry, missed bool) {
	last := o.missed
	if last == nil || time.Since(last.Time) < settling {
		return e, false
	}
	uses := v.load(named(last.Profile))
	if uses.err != nil {
		return e, false // nothing says which hooks it had
	}
	e = Entry{ID: last.Container, Bundle: last.Bundle, Profile: last.Profile, State: Unknown, Reason: "it is gone",
		Hooks: map[hooks.Stage][]jsontext.Value{}, Problems: []string{}}
	if last.PodName != "" {
		e.Name = history.Container(last)
	}
	for _, f := range uses.uses.Files {
		for _, h := range f.Hooks {
			if h.Stage == hooks.Poststop && h.Supervision != nil {
				e.Problems = append(e.Problems, fmt.Sprintf("it is gone, and the poststop hook %s of %s never ran", h.Path, f.Path))
			}
		}
	}
	return e, e.IsWrong()
}
