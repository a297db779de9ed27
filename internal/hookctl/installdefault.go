package hookctl

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/check"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/doctor"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
)

// installDefault makes a profile an engine's default runtime, once nothing is found wrong with it and it has started a
// container: a broken default stops a node. For that the engine has to know it first, by its name alone. If anything
// fails, everything is as it was, and the engine reads that again if it has read the other.
func (s *streams) installDefault(cmd *cobra.Command, r enrolment) error {
	if err := s.checkDefault(r); err != nil {
		return err
	}
	e, plan, err := r.planInstall(cmd.Context(), s.sys)
	if err != nil {
		return err
	}
	if !plan.Changes() {
		return s.carryOutPlan(cmd, r, e, plan)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	reload := plan.Reload()
	reloads := r.reloads(plan)
	try := func(ctx context.Context) (err error) { r.canary, err = s.tryDefault(ctx, r, e); return err }
	known, err := r.isKnown(ctx, e)
	switch {
	case err != nil:
		return err
	case known:
		if err = try(ctx); err == nil {
			err = plan.CarryOut(ctx, reloads...)
		}
	case !r.reload && reload.Command != "":
		return fmt.Errorf("%s does not know the runtime %s yet, which has to start a container before it becomes the default: install it without --default first, then %s; or give --reload",
			r.engine, r.profile, reload.Command)
	default:
		byName := r
		byName.isDefault = false
		_, first, planErr := byName.planInstall(ctx, s.sys)
		if planErr != nil {
			return planErr
		}
		err = first.CarryOut(ctx, append(slices.Clone(reloads), registration.Step{Do: try}, registration.Step{Do: func(ctx context.Context) error {
			_, second, err := r.planInstall(ctx, s.sys)
			if err != nil {
				return err
			}
			return second.CarryOut(ctx, reloads...)
		}})...)
	}
	if err != nil {
		return err
	}
	return s.printPlan(r, s.changed(plan), reload)
}

// checkDefault refuses a profile with which no container would start.
func (s *streams) checkDefault(r enrolment) error {
	program, err := findProgram(r.binDir)
	if err != nil {
		return err
	}
	result := check.Files(program, []string{profilePath(r.profile)})
	errs, _ := result.Count()
	if errs == 0 {
		return nil
	}
	s.FindingsToStderr(result.Findings)
	return fmt.Errorf("%s does not become the default: oci-add-hooks would start no container", r.profile)
}

// isKnown says whether an engine's configuration has the runtime already, as it is to be.
func (r *enrolment) isKnown(ctx context.Context, e engine.Engine) (bool, error) {
	link, err := r.link()
	if err != nil {
		return false, err
	}
	registered, err := e.Registered(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(registered.Entries, func(entry engine.Entry) bool {
		return entry.Name == r.profile && entry.Path == link && len(entry.Args) == 0
	}), nil
}

// tryDefault has the runtime start a container, and gives what that has shown.
func (s *streams) tryDefault(ctx context.Context, r enrolment, e engine.Engine) (string, error) {
	program, err := findProgram(r.binDir)
	if err != nil {
		return "", err
	}
	lines, err := canaries(ctx, e, program, r.profile)
	if err != nil {
		return "", err
	}
	if len(lines) == 0 {
		return "", errors.New("the engine's configuration cannot be read: hookctl doctor " + r.engine + " says why")
	}
	line := lines[0]
	if line.Status == doctor.Error {
		return "", fmt.Errorf("%s does not become the default: %s; where the engine cannot run, --no-canary does without a container", r.profile, line.Message)
	}
	return line.Message, nil
}
