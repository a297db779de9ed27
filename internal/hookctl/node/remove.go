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

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/profiles"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// Remove removes from the node what Install installed, once no container uses it.
func (n *Node) Remove(ctx context.Context) error {
	// Files that could not be removed later are reported before anything is removed.
	if _, err := n.planRemoval(); err != nil {
		return err
	}
	if err := n.whileUnused(ctx, n.unregister); err != nil {
		return err
	}
	// A container may have been started in the meantime. Now that the engine does not know the profile, none will be.
	return n.whileUnused(ctx, n.removeFiles)
}

// whileUnused waits until no container uses the profile, then calls f with the lock held.
func (n *Node) whileUnused(ctx context.Context, f func(context.Context) error) error {
	for {
		if err := n.waitUntilUnused(ctx); err != nil {
			return err
		}
		release, err := n.take(ctx)
		if err != nil {
			return err
		}
		if list, err := n.users(); err == nil && len(list) > 0 && !n.DryRun {
			release() // one has just been started
			continue
		}
		defer release()
		return f(ctx)
	}
}

// unregister removes the profile from the engine.
func (n *Node) unregister(ctx context.Context) error {
	record, text, err := registration.ReadRecord(n.System, n.Engine.Name(), n.Profile)
	if err != nil {
		return err
	}
	if record == nil {
		return n.forget(ctx)
	}
	if n.Engine, err = engines.New(n.System, record.Engine, record.Config); err != nil { // as it was installed
		return err
	}
	plan, err := registration.Uninstall(n.System, n.Engine, record, text)
	if err != nil {
		return err
	}
	if n.DryRun {
		n.report(plan.Files)
		return nil
	}
	reload, err := n.reloading(ctx, plan)
	if err != nil {
		return err
	}
	return n.carryOut(ctx, plan, reload...)
}

// forget makes the engine reload its configuration if the engine knows the profile but the configuration does not have
// it: an installation may have been killed and undone.
func (n *Node) forget(ctx context.Context) error {
	plan := registration.Gone(n.System, n.Engine, engine.Runtime{Name: n.Profile, Link: n.link()})
	reload, err := n.reloading(ctx, plan)
	switch {
	case err != nil:
		n.Say(fmt.Sprintf("%s could not be asked whether it still knows %s: %v; if it does, it forgets it when it is restarted", n.Engine.Name(), n.Profile, err))
		return nil
	case n.DryRun:
		return nil
	}
	return n.carryOut(ctx, plan, reload...)
}

// removeFiles removes the link and the profile, and the programs if no other link leads to them.
func (n *Node) removeFiles(ctx context.Context) error {
	records, err := engines.Installed(n.System, n.Profile)
	if err != nil {
		return err
	}
	if len(records) > 0 && !n.DryRun {
		return fmt.Errorf("%s stays on this node, because %s knows it too: hookctl node remove %[2]s --profile %[1]s", n.Profile, records[0].Engine)
	}
	files, err := n.planRemoval()
	if err != nil {
		return err
	}
	if n.DryRun {
		n.report(files)
		n.Say("this was a dry run: nothing was changed")
		return nil
	}
	if err := change.Make(ctx, n.System, files); err != nil {
		return err
	}
	n.report(files)
	n.Say(fmt.Sprintf("nothing of %s is left on this node", n.Profile))
	return nil
}

func (n *Node) planRemoval() (files []change.File, err error) {
	if exists(n.System.Profile(n.Profile)) || exists(n.link()) {
		plan, err := profiles.Remove(n.System, n.program(), n.Profile, program.LinksTo(n.program(), n.Profile), false)
		var refused profiles.Refused
		if errors.As(err, &refused) {
			err = errors.New(refused.Problem + "; nothing was removed: delete it on the node, or restore it as it was installed, first")
		}
		if err != nil {
			return nil, err
		}
		files = plan.Files
	}
	remove := func(path string) error {
		text, err := change.Read(path)
		if text != nil {
			files = append(files, change.File{Path: path, Before: text})
		}
		return err
	}
	if err := remove(receiptPath(n.System, n.Profile)); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(n.BinDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s cannot be read: %w", n.BinDir, report.Plain(err))
	}
	for _, e := range entries {
		if path := filepath.Join(n.BinDir, e.Name()); path != n.link() && path != n.program() && program.LeadsTo(path, n.program()) {
			return files, nil // another profile's link
		}
	}
	for _, name := range programNames {
		if err := remove(filepath.Join(n.BinDir, name)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// waitUntilUnused waits until no container uses the profile. It reports the containers that do whenever they change. A
// dry run does not wait.
func (n *Node) waitUntilUnused(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for told := []string(nil); ; {
		list, err := n.users()
		if err != nil {
			return fmt.Errorf("nothing is removed, because it is unknown whether containers use %s; correct this:%s", n.Profile, container.Inset(err))
		}
		if len(list) == 0 {
			return nil
		}
		if lines := describe(list); !slices.Equal(lines, told) {
			told = lines
			n.Say(fmt.Sprintf("waiting for these containers to end (%d):%s", len(list), inset(lines)))
		}
		if n.DryRun {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted while containers use %s; nothing was removed", n.Profile)
		case <-tick.C:
		}
	}
}

// users returns the containers that use the profile. If it also returns an error, there may be more.
func (n *Node) users() ([]container.Use, error) {
	return container.Look(n.System).Using(program.Uses(n.System, program.Known(n.program(), n.Profile)))
}

// describe returns a line for each container, sorted so that those of a pod are together.
func describe(list []container.Use) (lines []string) {
	for _, use := range list {
		lines = append(lines, use.String())
	}
	slices.Sort(lines)
	return lines
}
