package hookctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/canary"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/container"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/lock"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

// options are those of a command that changes the system.
type options struct{ dryRun, force bool }

func (o *options) define(cmd *cobra.Command, force string) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be done, and do nothing")
	cmd.Flags().BoolVar(&o.force, "force", false, force)
}

// interruptible calls f with a context that ends at SIGINT, SIGTERM or SIGHUP. An error that this causes is returned as
// an interruption, not as a fault of the engine that was being asked.
func interruptible(cmd *cobra.Command, f func(ctx context.Context) error) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer stop()
	err := f(ctx)
	cause := context.Cause(ctx)
	if cause != nil && (errors.Is(err, cause) || errors.Is(err, context.Canceled)) && !strings.HasPrefix(err.Error(), "interrupted") {
		return fmt.Errorf("interrupted: %w", cause)
	}
	return err
}

// changing calls f while it holds the lock, so that no other hookctl changes the system. The context of f ends at an
// interrupt; f then restores everything. A dry run takes no lock.
func changing(cmd *cobra.Command, u *ui.UI, sys system.System, dryRun bool, f func(ctx context.Context) error) error {
	return interruptible(cmd, func(ctx context.Context) error {
		if dryRun {
			return f(ctx)
		}
		release, err := lock.Take(ctx, sys, u.Note)
		if err != nil {
			return err
		}
		defer release()
		for _, note := range canary.Sweep(ctx) {
			u.Note(note)
		}
		return f(ctx)
	})
}

// refuse returns an error that begins with what if containers need a link; with running, only containers that run
// count. It prints a note for each process that names the link but is not trusted.
func refuse(u *ui.UI, sys system.System, link, what string, running bool) error {
	scan, uses := container.Look(sys), program.Uses(sys, []string{link})
	noteClaims(u, scan.Claims(uses))
	return scan.Refuse(what, uses, running)
}

// step is a change as it is printed.
type step struct {
	Action string `json:"action"` // create, write, link or remove; keep if nothing changes
	Path   string `json:"path"`
	Target string `json:"target,omitempty"` // of a link
	Text   string `json:"text,omitempty"`   // of a file
	Diff   string `json:"diff,omitempty"`   // of an engine's file
}

func stepOf(f change.File) step {
	s := step{Action: "write", Path: f.Path}
	if f.Mode.Type() == fs.ModeSymlink {
		s.Action, s.Target = "link", string(f.After)
	} else {
		s.Text = string(f.After)
	}
	switch {
	case f.Same():
		s.Action = "keep"
	case f.After == nil:
		s.Action = "remove"
	}
	return s
}

// apply makes changes, unless it is a dry run, and prints each.
func apply(ctx context.Context, u *ui.UI, sys system.System, o options, files []change.File) error {
	if !o.dryRun {
		if err := change.Make(ctx, sys, files); err != nil {
			return err
		}
	}
	steps := make([]step, len(files))
	for i, f := range files {
		steps[i] = stepOf(f)
	}
	if u.AsJSON {
		return u.JSON(struct {
			DryRun  bool   `json:"dryRun"`
			Changes []step `json:"changes"`
		}{o.dryRun, steps})
	}
	for _, s := range steps {
		s.print(u, o.dryRun)
	}
	return nil
}

// print prints a change that was made. With would, it prints one that would be made, and the text or diff of the file.
func (s step) print(u *ui.UI, would bool) {
	action, what := s.Action, ui.Escape(s.Path)
	colour := ui.Green
	switch s.Action {
	case "keep":
		u.Printf("%s %s (unchanged)\n", u.Paint(ui.Dim, action), what)
		return
	case "remove":
		colour = ui.Yellow
	case "link":
		what += " -> " + ui.Escape(s.Target)
	}
	if would {
		action = "would " + action
	}
	u.Printf("%s %s\n", u.Paint(colour, action), what)
	if would {
		u.Printf("%s", s.Text)
		u.Diff(s.Diff)
	}
}
