package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/command"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Install installs on the node what is missing there. It checks everything first, and changes nothing if anything is
// wrong. If a later step fails, or ctx ends, everything is restored.
func (n *Node) Install(ctx context.Context, programs []Program, hookFile HookFile) error {
	release, err := n.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	files, err := n.planFiles(programs, hookFile)
	if err != nil {
		return err
	}
	plan, err := registration.Install(ctx, n.System, n.Engine, engine.Runtime{Name: n.Profile, Link: n.link(), PodAnnotations: n.PodAnnotations})
	if err != nil {
		return err
	}
	reload, err := n.reloading(ctx, plan)
	if err != nil {
		return err
	}
	if plan.Files, err = n.withReceipt(append(files, plan.Files...), plan.Record); err != nil {
		return err
	}
	if n.DryRun {
		n.report(plan.Files)
		n.Say("this was a dry run: nothing was changed")
		return nil
	}
	steps := slices.Concat([]registration.Step{{Do: n.runs}}, reload, []registration.Step{{Do: n.canary}})
	if err := n.carryOut(ctx, plan, steps...); err != nil {
		return err
	}
	n.Say(fmt.Sprintf("this node is ready: %s knows %s", n.Engine.Name(), n.Profile))
	return nil
}

// HookFile is a hook file that was read at Path in the container.
type HookFile struct {
	Path string
	Text []byte
}

// planFiles plans to write the programs and the profile.
func (n *Node) planFiles(programs []Program, hookFile HookFile) ([]change.File, error) {
	exe := n.program()
	known := exe
	for _, p := range programs {
		if _, err := os.Stat(filepath.Join(n.BinDir, p.Name)); err != nil {
			known = "" // some programs are not copied yet, and hooks may need them
		}
	}
	// The hook file is checked on the node, where its hooks will run.
	copied := filepath.Join(run, "oci-add-hooks-"+n.Profile+".json")
	if err := os.Remove(copied); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s cannot be removed: %w", copied, report.Plain(err))
	}
	if err := os.WriteFile(copied, hookFile.Text, 0o644); err != nil {
		return nil, fmt.Errorf("%s cannot be written: %w", copied, report.Plain(err))
	}
	defer os.Remove(copied)
	content, findings, err := profiles.Compose(known, profiles.Source{HookFile: copied}, false)
	for i := range findings {
		if findings[i].File == copied {
			findings[i].File = hookFile.Path
		}
	}
	n.Findings(findings)
	if err != nil {
		return nil, withoutForce(err)
	}
	plan, err := profiles.Add(n.System, exe, n.Profile, content, false)
	if err != nil {
		return nil, withoutForce(err)
	}
	if plan.Runtime != "" {
		if err := n.refuseRuntime(plan.Runtime); err != nil {
			return nil, err
		}
	}
	var files []change.File
	for _, p := range programs {
		path := filepath.Join(n.BinDir, p.Name)
		old, err := change.Read(path)
		if err != nil {
			return nil, err
		}
		files = append(files, change.File{Path: path, Before: old, After: p.Text, Mode: 0o755, Own: true})
	}
	return append(files, plan.Files...), nil
}

// withoutForce returns err without the remedy --force, an option that these commands do not have.
func withoutForce(err error) error {
	var refused profiles.Refused
	if errors.As(err, &refused) {
		return errors.New(refused.Problem + "; correct it on the node, or choose another name for the profile")
	}
	return err
}

// refuseRuntime returns an error if containers run with the profile, whose runtime is about to change from before.
func (n *Node) refuseRuntime(before string) error {
	list, err := n.users()
	list = slices.DeleteFunc(list, func(use container.Use) bool { return !use.Running })
	what := fmt.Sprintf("the profile %s names the runtime %s, which cannot be changed", n.Profile, before)
	if len(list) > 0 {
		return fmt.Errorf("%s while these containers run with it, because they could no longer be stopped; end their pods first, or choose another name for the profile:%s",
			what, inset(describe(list)))
	}
	if err != nil {
		return fmt.Errorf("%s while it is unknown whether containers run with it; correct this, or choose another name for the profile:%s", what, container.Inset(err))
	}
	return nil
}

func inset(lines []string) string { return "\n  " + strings.Join(lines, "\n  ") }

// runs returns an error if the program cannot be executed on the node.
func (n *Node) runs(ctx context.Context) error {
	if _, err := command.Output(ctx, n.program(), "--version"); err != nil {
		return fmt.Errorf("%s cannot be executed there: %w; give a directory that is not mounted noexec by --bin-dir", n.program(), err)
	}
	return nil
}
