// Package preview makes the plan that oci-add-hooks would carry out on a bundle, without carrying it out.
//
// It knows which parts of a plan are shown. It does not know how containers are found or how the result is drawn.
package preview

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/inventory"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hooks"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/jsonfile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Preview is what would be added to a bundle.
type Preview struct {
	Config    string               `json:"config"`
	Container *container.Container `json:"container,omitempty"`
	Runtime   string               `json:"runtime"`         // the path of the low-level runtime; empty if not found
	Error     string               `json:"error,omitempty"` // why it is not found; nothing is added then
	Hooks     []Decision           `json:"hooks"`
	Without   []string             `json:"without,omitempty"` // the stage and path of hooks in config.json that the plan leaves out
	Changes   bool                 `json:"changes"`
	Diff      string               `json:"diff"` // of config.json with each member and element on its own line
}

// Decision is whether one hook would be added, and why.
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
	Reason        string `json:"reason,omitempty"` // why a failure is ignored, if that depends on the container

	Text string `json:"-"` // all of it in words
}

// Bundle returns what a call would add to the bundle in the directory dir.
func Bundle(v *inventory.Inventory, call cmdline.Call, dir string) (*Preview, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if filepath.Base(at) == "userdata" { // Podman's and CRI-O's
		at = filepath.Dir(at)
	}
	config := filepath.Join(dir, "config.json")
	if _, err := os.Stat(config); errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, &jsonfile.Error{Path: config, Problem: "cannot be opened: " + report.Plain(err).Error(), Remedy: "give the bundle's directory, which holds config.json"}
	}
	return plan(v, call, Preview{Config: config}, config, filepath.Base(at)) // engines name the directory after the container's id
}

// Next returns what a call would add to a container if it were created today. If call is nil, it is the call that
// created the container.
func Next(v *inventory.Inventory, call *cmdline.Call, c container.Container) (*Preview, error) {
	if call == nil {
		created, through, err := v.Call(c)
		if err != nil {
			return nil, err
		}
		if !through {
			return nil, fmt.Errorf("nothing says that %s goes through oci-add-hooks; give --profile NAME", c.Title())
		}
		call = &created
	}
	path, done, err := c.Config()
	if err != nil {
		return nil, err
	}
	defer done()
	p := Preview{Config: filepath.Join(c.Bundle, "config.json"), Container: &c}
	if e := v.Compare(c, *call); e.State == inventory.Changed {
		// The engine would make a new config.json, without the hooks of an older version of the profile. They cannot be
		// told from hooks that others have added.
		file, err := withoutHooks(path, e)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		path = fmt.Sprintf("/proc/self/fd/%d", file.Fd())
		e.Each(func(place inventory.Place, path, file string) {
			if file != inventory.ByEngine {
				p.Without = append(p.Without, fmt.Sprintf("%s %s", place.Stage, path))
			}
		})
	}
	return plan(v, *call, p, path, c.ID)
}

// withoutHooks returns a file in memory with the config.json at path, but only the hooks of the engine itself.
func withoutHooks(path string, e inventory.Entry) (*os.File, error) {
	config, err := jsonfile.Read(path)
	if err != nil {
		return nil, err
	}
	kept := map[hooks.Stage][]jsontext.Value{}
	e.Each(func(place inventory.Place, _, file string) {
		if file == inventory.ByEngine {
			kept[place.Stage] = append(kept[place.Stage], e.Hooks[place.Stage][place.Index])
		}
	})
	var members [][]byte
	r := config.Lenient()
	err = r.Object(func(name string) error {
		quoted := r.Raw()
		value, err := r.Value()
		if name == "hooks" && err == nil {
			value, err = json.Marshal(kept)
		}
		members = append(members, slices.Concat(quoted, jsontext.Value(":"), value))
		return err
	})
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("config.json", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "config.json")
	_, err = fmt.Fprintf(file, "{%s}", bytes.Join(members, []byte(",")))
	return file, err
}

// plan completes p with what a call would add to the config.json at path of the container id.
func plan(v *inventory.Inventory, call cmdline.Call, p Preview, path, id string) (*Preview, error) {
	uses, err := v.Load(call)
	if err != nil {
		return nil, err
	}
	if p.Runtime, err = program.FindRuntime(uses.Program, uses.Runtime); err != nil {
		p.Error = err.Error()
	}
	before, err := jsonfile.Read(path)
	if err != nil {
		return nil, err
	}
	plan, err := inject.Make(uses, path, id)
	if err != nil {
		return nil, err
	}
	p.Hooks = []Decision{}
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
		return &p, nil
	}
	was, err := indented(before.Data)
	if err != nil {
		return nil, err
	}
	is, err := indented(plan.Text.Bytes())
	if err != nil {
		return nil, err
	}
	p.Changes, p.Diff = true, change.Diff(p.Config, was, p.Config+" with hooks", is)
	return &p, nil
}

// indented returns JSON with each member and element on its own line, otherwise unchanged.
func indented(text []byte) ([]byte, error) {
	v := jsontext.Value(text).Clone()
	if err := v.Indent(jsontext.WithIndent("    ")); err != nil {
		return nil, errors.New("config.json was changed while it was read; try again")
	}
	return append(v, '\n'), nil
}
