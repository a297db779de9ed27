package hookctl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engines"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/program"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
)

func newUninstall(io *streams) *cobra.Command {
	var r enrolment
	cmd := &cobra.Command{
		Use:   "uninstall ENGINE --profile NAME",
		Short: "undo install",
		Long: "Undoes `hookctl install`. A file that nobody has changed since is as it was before; from another, hookctl's own part is removed alone. " +
			"The profile and its link stay.\n\n" +
			"It refuses while a container uses the profile, since its engine could not stop it any more.",
		Example: "  hookctl uninstall docker --profile gpu-hooks --reload",
		RunE: func(cmd *cobra.Command, args []string) error {
			return io.changing(cmd.Context(), r.dryRun, func(ctx context.Context) error {
				return io.uninstall(ctx, args[0], r)
			})
		},
	}
	cmd.Flags().BoolVar(&r.force, "force", false, "do so even if containers use the profile")
	r.define(cmd)
	return cmd
}

func (s *streams) uninstall(ctx context.Context, name string, r enrolment) error {
	e, plan, err := s.planUninstall(name, r)
	if err != nil {
		return err
	}
	if plan == nil {
		return fmt.Errorf("hookctl has not installed %s for %s: there is no record of it in %s; remove manually what was registered manually", r.profile, name, s.sys.State)
	}
	return s.carryOutPlan(ctx, e, plan, r)
}

// planUninstall returns no plan if nothing was installed.
func (s *streams) planUninstall(name string, r enrolment) (engine.Engine, *registration.Plan, error) {
	e, err := s.engine(name, &r)
	if err != nil {
		return nil, nil, err
	}
	rec, text, err := registration.ReadRecord(s.sys, name, r.profile)
	if err != nil || rec == nil {
		return e, nil, err
	}
	if rec.Config != e.Config() {
		if r.config != "" {
			return nil, nil, fmt.Errorf("%s is installed in %s", r.profile, rec.Config)
		}
		if e, err = engines.New(s.sys, name, rec.Config); err != nil {
			return nil, nil, err
		}
	}
	if !r.force {
		if err := s.refuseInUse([]string{rec.Link}, r.profile+" cannot be uninstalled"); err != nil {
			return nil, nil, err
		}
	}
	plan, err := registration.Uninstall(s.sys, e, rec, text)
	return e, plan, err
}

// refuseRegistered returns an error if a profile is registered with an engine: its link is the engine's runtime.
func (s *streams) refuseRegistered(ctx context.Context, name, link string) error {
	for _, e := range engines.Names {
		rec, _, err := registration.ReadRecord(s.sys, e, name)
		if err != nil {
			return err
		}
		if rec != nil {
			return fmt.Errorf("the profile %s cannot be removed while %s knows it: hookctl uninstall %s --profile %s", name, rec.Config, e, name)
		}
	}
	list, unknown := engines.Here(s.sys)
	lines, err := registration.Registering(ctx, list, program.Uses(s.sys, []string{link}))
	switch err := errors.Join(unknown, err); {
	case len(lines) > 0:
		return fmt.Errorf("the profile %s cannot be removed; remove it from the engine first, or give --force:%s", name, inset(strings.Join(lines, "\n")))
	case err != nil:
		return fmt.Errorf("the profile %s cannot be removed: whether an engine knows it cannot be told; give --force if you know that none does:%s", name, inset(err.Error()))
	}
	return nil
}
