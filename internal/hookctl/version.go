package hookctl

import (
	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

func newVersion(u *ui.UI) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version",
		Long:    "Prints the version of hookctl, as `hookctl --version` does.",
		Example: "  hookctl version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			version := cmd.Root().Version
			if u.AsJSON {
				return u.JSON(struct {
					Version string `json:"version"`
				}{version})
			}
			u.Printf("hookctl version %s\n", version)
			return nil
		},
	}
}
