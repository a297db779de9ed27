package hookctl

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// defineHostRoot adds the option --host-root to a command. The process changes its root before the command runs, so
// that every later path, link and program is the other system's. hookctl needs no file of its own after that.
func defineHostRoot(cmd *cobra.Command) {
	var root string
	cmd.Flags().StringVar(&root, "host-root", "", "the root `directory` of the system to work on: all paths are below it (needs root)")
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
		return fmt.Errorf("%s cannot be made the root: %w; this needs root (CAP_SYS_CHROOT) and a directory", root, report.Plain(err))
	}
	// In a privileged container, the new root may be that of the whole machine, and systemctl has to act on its
	// services. Without this variable, systemctl does nothing in a changed root and reports success.
	if err := os.Setenv("SYSTEMD_IGNORE_CHROOT", "1"); err != nil {
		return err
	}
	return os.Chdir("/")
}
