// Package node does on a Kubernetes node what its DaemonSet is for: it copies the programs there, adds a profile and
// registers it with the node's engine; it removes all that once no container needs it; and it looks whether it is so.
//
// It knows the order in which that is safe, and how it is undone at any moment. It runs after the node's file system has
// become the root of this process; what the container has is read before (Programs). It does not know how profiles are
// composed, how an engine is configured, or how anything is printed.
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/lock"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// BinDir is the usual directory for the programs on a node: /opt can mostly be written to, even where /usr cannot.
const BinDir = "/opt/oci-add-hooks/bin"

// run is a directory of the node that is empty after each start of it.
const run = "/run"

// Node is a node, and what is to be there.
type Node struct {
	System  system.System
	Engine  engine.Engine
	Profile string
	BinDir  string

	Canary         Canary   // of an installation
	PodAnnotations []string // of an installation: see engine.Runtime
	DryRun         bool     // change nothing

	// What happens is reported as it happens: what is done, what a change was, what was found in the hook file, and that
	// another call holds the lock.
	Say      func(text string)
	Changed  func(change.File)
	Findings func([]check.Finding)
	Waiting  func(holder string)
}

func (n *Node) program() string { return filepath.Join(n.BinDir, cmdline.Name) }
func (n *Node) link() string    { return profiles.Link(n.program(), n.Profile) }

// Program is a program that is copied to a node.
type Program struct {
	Name string
	Text []byte
}

// Programs reads the programs of this container: this one, and those beside the runtime that is at exe.
func Programs(exe string) (programs []Program, err error) {
	for _, name := range programNames {
		path := filepath.Join(filepath.Dir(exe), name)
		if name == "hookctl" {
			path = "/proc/self/exe"
		}
		text, err := os.ReadFile(path)
		if name == supervisor && errors.Is(err, fs.ErrNotExist) {
			continue // only hooks that ask for it need it, and the check of the hook file says so
		}
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", path, report.Plain(err))
		}
		programs = append(programs, Program{name, text})
	}
	return programs, nil
}

const supervisor = inject.Supervisor

var programNames = []string{cmdline.Name, supervisor, "hookctl"}

// take takes the lock.
func (n *Node) take(ctx context.Context) (release func(), err error) {
	if n.DryRun {
		return func() {}, nil
	}
	return lock.Take(ctx, n.System, n.Waiting)
}

// apply makes changes and reports each. A dry run reports them alone.
func (n *Node) apply(ctx context.Context, files []change.File) (*change.Done, error) {
	done := &change.Done{}
	if !n.DryRun {
		var err error
		if done, err = change.Apply(ctx, n.System, files); err != nil {
			return nil, err
		}
	}
	n.report(files)
	return done, nil
}

// report reports changes, but for that to hookctl's own record of a registration.
func (n *Node) report(files []change.File) {
	for _, f := range files {
		if filepath.Dir(filepath.Dir(f.Path)) != n.System.State {
			n.Changed(f)
		}
	}
}

// register carries out a plan for the engine, and then the rest. The engine reads its configuration again if it changes,
// or if it did and it is not known whether the engine has read it since: this program may be killed at any moment.
func (n *Node) register(ctx context.Context, plan *registration.Plan, rest ...registration.Step) error {
	changes := plan != nil && plan.Changes()
	unread := filepath.Join(run, "oci-add-hooks-"+n.Engine.Name()+"-"+n.Profile+"-unread")
	_, err := os.Lstat(unread)
	if changes || err == nil {
		reload := n.Engine.Reload(nil)
		read := reload.Do
		if plan != nil {
			step, err := plan.Reloading()
			if err != nil {
				return err
			}
			reload, read = plan.Reload(), step.Do
		}
		if reload.Refused != nil {
			return reload.Refused
		}
		step := registration.Step{Do: func(ctx context.Context) error { return n.reload(ctx, reload, read) }}
		if changes {
			step.Undo = func(ctx context.Context) error {
				err := n.reload(ctx, reload, reload.Do)
				if err == nil { // it has read what is there again
					err = os.Remove(unread)
				}
				return err
			}
		}
		rest = append([]registration.Step{step}, rest...)
		if err := os.WriteFile(unread, nil, 0o600); err != nil {
			return fmt.Errorf("%s cannot be written: %w", unread, report.Plain(err))
		}
	}
	if changes {
		report := func(context.Context) error {
			n.report(slices.DeleteFunc(slices.Clone(plan.Files), change.File.Same))
			return nil
		}
		err = plan.CarryOut(ctx, append([]registration.Step{{Do: report}}, rest...)...)
		for _, note := range plan.Notes {
			n.Say(note)
		}
	} else {
		err = carryOut(ctx, rest)
	}
	if err != nil {
		return err
	}
	if err := os.Remove(unread); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s cannot be removed: %w", unread, report.Plain(err))
	}
	return nil
}

// carryOut does steps without a plan. If one fails, or ctx ends, those before it are undone.
func carryOut(ctx context.Context, steps []registration.Step) (err error) {
	for i, step := range steps {
		if err = step.Do(ctx); err == nil && ctx.Err() != nil {
			err = fmt.Errorf("interrupted: %w", context.Cause(ctx))
		}
		if err == nil {
			continue
		}
		for _, begun := range slices.Backward(steps[:i+1]) {
			if begun.Undo == nil {
				continue
			}
			if undoErr := begun.Undo(context.WithoutCancel(ctx)); undoErr != nil {
				err = fmt.Errorf("%w\nand not everything was restored: %w", err, undoErr)
			}
		}
		return err
	}
	return nil
}

// reload has the engine read its configuration, and waits until it answers again: what is printed meanwhile may be lost
// with the container's output, which the engine itself takes up.
func (n *Node) reload(ctx context.Context, reload engine.Reload, read func(context.Context) error) error {
	if reload.Command == "" {
		return nil
	}
	n.Say(fmt.Sprintf("%s reads its configuration again (%s): %s", n.Engine.Name(), reload.Command, reload.Effect))
	if err := read(ctx); err != nil {
		return err
	}
	err := engine.Settled(ctx, settling, func(ctx context.Context) error {
		if err := n.Engine.Daemon().Renew(); err != nil {
			return err
		}
		_, err := n.Engine.Known(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s does not answer any more: %w", n.Engine.Name(), err)
	}
	n.Say(n.Engine.Name() + " answers again")
	return nil
}

// settling is how long an engine may take until it answers again.
const settling = time.Minute
