// Package node does the work of the DaemonSet on a Kubernetes node. It copies the programs there, adds a profile and
// registers it with the node's engine. It removes all of this once no container needs it. It checks whether all is
// still as installed.
//
// It knows the safe order of these steps, and how to undo them at any moment. It runs after the node's file system has
// become the root of this process; files of the container are read before (Programs). It does not know how profiles are
// composed, how an engine is configured, or how anything is printed.
package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/canary"
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

// BinDir is the default directory for the programs on a node: /opt is usually writable, even where /usr is not.
const BinDir = "/opt/oci-add-hooks/bin"

// run is a directory of the node that is empty after each boot.
const run = "/run"

// Node is a node and what to install on it.
type Node struct {
	System  system.System
	Engine  engine.Engine
	Profile string
	BinDir  string

	Canary         Canary   // of an installation
	PodAnnotations []string // of an installation: see engine.Runtime
	DryRun         bool     // change nothing

	// These report events as they happen: messages, changes to files, and findings in the hook file.
	Say      func(text string)
	Changed  func(change.File)
	Findings func([]check.Finding)
}

func (n *Node) program() string { return filepath.Join(n.BinDir, cmdline.Name) }
func (n *Node) link() string    { return profiles.Link(n.program(), n.Profile) }

// Program is a program that is copied to a node.
type Program struct {
	Name string
	Text []byte
}

// Programs reads the programs of this container: this one, and those beside the oci-add-hooks at exe.
func Programs(exe string) (programs []Program, err error) {
	for _, name := range programNames {
		path := filepath.Join(filepath.Dir(exe), name)
		if name == "hookctl" {
			path = "/proc/self/exe"
		}
		text, err := os.ReadFile(path)
		if name == supervisor && errors.Is(err, fs.ErrNotExist) {
			continue // only supervised hooks need it; then the check of the hook file reports that it is missing
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

// take takes the lock, unless it is a dry run.
func (n *Node) take(ctx context.Context) (release func(), err error) {
	if n.DryRun {
		return func() {}, nil
	}
	release, err = lock.Take(ctx, n.System, n.Say)
	if err == nil {
		for _, note := range canary.Sweep(ctx) {
			n.Say(note)
		}
	}
	return release, err
}

// report reports changes, except those to hookctl's own records.
func (n *Node) report(files []change.File) {
	for _, f := range files {
		if !strings.HasPrefix(f.Path, n.System.State+"/") {
			n.Changed(f)
		}
	}
}

// carryOut reports and carries out a plan, and then each of steps.
func (n *Node) carryOut(ctx context.Context, plan *registration.Plan, steps ...registration.Step) error {
	report := func(context.Context) error { n.report(plan.Files); return nil }
	err := plan.CarryOut(ctx, append([]registration.Step{{Do: report}}, steps...)...)
	for _, note := range plan.Notes {
		n.Say(note)
	}
	return err
}

// reloading returns the step that makes the engine read what is planned; none if the engine already knows it.
func (n *Node) reloading(ctx context.Context, plan *registration.Plan) ([]registration.Step, error) {
	if !plan.Changes() {
		if unread, err := plan.Unread(ctx); err != nil || !unread {
			return nil, err
		}
	}
	step, err := plan.Reloading(ctx)
	var refused engine.NotReloaded
	if errors.As(err, &refused) { // this command always reloads
		err = errors.New(refused.Problem + "; " + refused.First)
	}
	how := plan.Reload()
	return []registration.Step{{
		Do:   func(ctx context.Context) error { return n.reload(ctx, how, step.Do) },
		Undo: func(ctx context.Context) error { return n.reload(ctx, how, step.Undo) },
	}}, err
}

// reload makes the engine reload its configuration, and waits until it answers again. The engine itself reads the
// container's output, so what is printed in the meantime may be lost.
func (n *Node) reload(ctx context.Context, reload engine.Reload, read func(context.Context) error) error {
	if reload.Command == "" {
		return nil
	}
	n.Say(fmt.Sprintf("%s reloads its configuration (%s): %s", n.Engine.Name(), reload.Command, reload.Effect))
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
