package hookctl

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/ui"
)

func newUninstall(u *ui.UI, sys system.System) *cobra.Command {
	var r enrolment
	cmd := &cobra.Command{
		Use:   "uninstall ENGINE --profile NAME",
		Short: "undo install",
		Long: "Undoes `hookctl install`. A file that nobody has changed since is restored; from any other, only hookctl's own part is removed. " +
			"The profile and its link stay.\n\n" +
			"It refuses while a container uses the profile, because its engine could no longer stop it.",
		Example: "  hookctl uninstall docker --profile gpu-hooks --reload",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := namesProfile(r.profile); err != nil {
				return err
			}
			return changing(cmd, u, sys, r.dryRun, func(ctx context.Context) error {
				return uninstall(ctx, u, sys, args[0], r)
			})
		},
	}
	cmd.Flags().BoolVar(&r.force, "force", false, "uninstall even if containers use the profile")
	r.define(cmd, sys)
	return cmd
}

func uninstall(ctx context.Context, u *ui.UI, sys system.System, name string, r enrolment) error {
	e, rec, text, err := engines.Recorded(sys, name, r.profile, r.config)
	if err != nil {
		return err
	}
	if !r.force {
		if err := refuse(u, sys, rec.Link, r.profile+" cannot be uninstalled", false); err != nil {
			return err
		}
	}
	plan, err := registration.Uninstall(sys, e, rec, text)
	if err != nil {
		return err
	}
	return perform(ctx, u, sys, e, plan, r)
}
