// Package preview makes the plan that oci-add-hooks would carry out on a bundle, and carries nothing out.
//
// It knows what is shown of a plan. It does not know where bundles and profiles come from.
package preview

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// Preview is what would be added to a bundle.
type Preview struct {
	Hooks   []Decision `json:"hooks"`
	Changes bool       `json:"changes"`

	Before, After []byte `json:"-"` // config.json with each member and element in a line of its own; nil if nothing changes
}

// Decision is what becomes of one hook.
type Decision struct {
	Stage   string         `json:"stage"` // empty if the hook names none
	Path    string         `json:"path"`
	File    string         `json:"file"`
	Verdict inject.Verdict `json:"verdict"`
	Reason  string         `json:"reason,omitempty"`

	Supervised *Supervised `json:"supervised,omitempty"`
}

// Supervised is how a supervised hook would be run.
type Supervised struct {
	Timeout       int    `json:"timeout"` // in seconds
	FailurePolicy string `json:"failurePolicy"`
	Reason        string `json:"reason,omitempty"` // why a failure is ignored, where the container decides it

	Text string `json:"-"` // the same in words
}

// Make plans what a call that uses uses would add to the config.json at path, of the container with that id.
func Make(uses profile.Profile, path, id string) (Preview, error) {
	p := Preview{Hooks: []Decision{}}
	before, err := jsonfile.Read(path)
	if err != nil {
		return p, err
	}
	plan, err := inject.Make(uses, path, id)
	if err != nil {
		return p, err
	}
	for _, d := range plan.Decisions {
		row := Decision{Stage: string(d.Stage), Path: d.Path, File: d.File, Verdict: d.Verdict}
		if d.Reason != nil {
			row.Reason = d.Reason.String()
		}
		if s := d.Supervised; s != nil {
			row.Supervised = &Supervised{Timeout: s.Timeout, FailurePolicy: s.Policy, Reason: s.Why.String(), Text: s.String()}
		}
		p.Hooks = append(p.Hooks, row)
	}
	if plan.Text == nil {
		return p, nil
	}
	p.Changes = true
	if p.Before, err = indented(before.Data); err == nil {
		p.After, err = indented(plan.Text.Bytes())
	}
	return p, err
}

// indented returns JSON with each member and element in a line of its own, and all else as it was.
func indented(text []byte) ([]byte, error) {
	v := jsontext.Value(text).Clone()
	if err := v.Indent(jsontext.WithIndent("    ")); err != nil {
		return nil, errors.New("config.json was changed while it was read; try again")
	}
	return append(v, '\n'), nil
}
