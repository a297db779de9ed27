package hookctl

import (
	"context"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/lock"
)

// changing calls f while this call of hookctl alone changes the system. f's context ends at an interrupt, for f to put
// everything back. A dry run takes no lock.
func (s *streams) changing(ctx context.Context, dryRun bool, f func(ctx context.Context) error) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	if dryRun {
		return f(ctx)
	}
	release, err := lock.Take(ctx, s.sys, func(holder string) { s.Note("waiting for another call of hookctl: " + holder) })
	if err != nil {
		return err
	}
	defer release()
	return f(ctx)
}
