package hookctl

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// defineHostRoot adds the option --host-root to a command. The process moves into that root before the command runs, so
// that every path, link and program after that is the other system's: hookctl needs nothing of its own.
func defineHostRoot(cmd *cobra.Command) {
	var root string
	cmd.Flags().StringVar(&root, "host-root", "", "the `directory` that is the root of the system meant: all paths lie below it (takes root's rights)")
	complete(cmd, "host-root")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if root != "" {
			if err := enterRoot(root); err != nil {
				return err
			}
		}
		return run(cmd, args)
	}
}

// enterRoot makes a directory the root of this process.
func enterRoot(root string) error {
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("%s cannot be made the root: %w; it takes root's rights (CAP_SYS_CHROOT) and a directory", root, report.Plain(err))
	}
	// A privileged container may have the root of the whole machine, whose services are then meant. Otherwise systemctl
	// would do nothing, and report success.
	if err := os.Setenv("SYSTEMD_IGNORE_CHROOT", "1"); err != nil {
		return err
	}
	return os.Chdir("/")
}
