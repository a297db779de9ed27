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

	"github.com/awslabs/oci-add-hooks/internal/hookctl/change"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/lock"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

// options say how a command changes the system.
type options struct{ dryRun, force bool }

func (o *options) define(cmd *cobra.Command, force string) {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be done, and do nothing")
	cmd.Flags().BoolVar(&o.force, "force", false, force)
}

// changing calls f while this call of hookctl alone changes the system. f's context ends at an interrupt, for f to put
// everything back. A dry run takes no lock.
func (s *streams) changing(ctx context.Context, dryRun bool, f func(ctx context.Context) error) error {
	return interruptible(ctx, func(ctx context.Context) error {
		if dryRun {
			return f(ctx)
		}
		release, err := lock.Take(ctx, s.sys, s.Note)
		if err != nil {
			return err
		}
		defer release()
		return f(ctx)
	})
}

// interruptible calls f with a context that ends at an interrupt. An error by that is told as such, and not as a fault of the
// engine that was asked meanwhile.
func interruptible(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer stop()
	err := f(ctx)
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) && !strings.HasPrefix(err.Error(), "interrupted") {
		return fmt.Errorf("interrupted: %w", cause)
	}
	return err
}

// step is a change as it is printed.
type step struct {
	Action string `json:"action"` // write, link, remove, or keep if nothing has to change
	Path   string `json:"path"`
	Target string `json:"target,omitempty"` // of a link
	Text   string `json:"text,omitempty"`   // of a file
}

func stepOf(f change.File) step {
	s := step{Action: "write", Path: f.Path}
	isLink := f.Mode.Type() == fs.ModeSymlink
	if isLink {
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

// apply makes changes, unless that is not wanted, and prints each.
func (s *streams) apply(ctx context.Context, o options, files []change.File) error {
	if !o.dryRun {
		if err := change.Make(ctx, s.sys, files); err != nil {
			return err
		}
	}
	steps := make([]step, len(files))
	for i, f := range files {
		steps[i] = stepOf(f)
	}
	if s.AsJSON {
		return s.JSON(struct {
			DryRun  bool   `json:"dryRun"`
			Changes []step `json:"changes"`
		}{o.dryRun, steps})
	}
	for _, c := range steps {
		s.printStep(c, o.dryRun)
		if o.dryRun && c.Action == "write" {
			s.Printf("%s", c.Text)
		}
	}
	return nil
}

// printStep prints a change that was made, or would be.
func (s *streams) printStep(c step, would bool) {
	action, what := c.Action, ui.Escape(c.Path)
	colour := ui.Green
	switch c.Action {
	case "keep":
		s.Printf("%s %s (unchanged)\n", s.Paint(ui.Dim, action), what)
		return
	case "remove":
		colour = ui.Yellow
	case "link":
		what += " -> " + ui.Escape(c.Target)
	}
	if would {
		action = "would " + action
	}
	s.Printf("%s %s\n", s.Paint(colour, action), what)
}
