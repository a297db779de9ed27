package registration

import (
	"context"
	"fmt"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// Default makes a runtime an engine's default after it has started a container, which try does: a broken default stops
// a node. For that the engine first has to know the runtime by its name only. If anything fails, everything is
// restored, and the engine reads the restored files if it has read the changed ones. It returns the plan that it has
// carried out.
func Default(ctx context.Context, sys system.System, e engine.Engine, r engine.Runtime, reload bool, try func(context.Context) error) (*Plan, error) {
	plan, err := Install(ctx, sys, e, r)
	if err != nil {
		return nil, err
	}
	steps := func(p *Plan) ([]Step, error) {
		if !reload {
			return nil, nil
		}
		step, err := p.Reloading(ctx)
		return []Step{step}, err
	}
	reloads, err := steps(plan)
	if err != nil {
		return nil, err
	}
	if !plan.Changes() {
		if unread, err := plan.Unread(ctx); err != nil || !unread || !reload {
			return plan, err
		}
		return plan, plan.CarryOut(ctx, append(reloads, Step{Do: try})...)
	}
	registered, err := e.Registered(ctx)
	if err != nil {
		return nil, err
	}
	if entry := registered.Entry(r.Name); entry != nil && entry.Path == r.Link && len(entry.Args) == 0 {
		if err := try(ctx); err != nil {
			return nil, err
		}
		return plan, plan.CarryOut(ctx, reloads...)
	}
	if how := plan.Reload(); !reload && how.Effect != "" {
		remedy := "install it without --default first, then run: " + how.Command + "; or give --reload"
		if how.Command == "" {
			remedy = e.Program() + " does not run: install it without --default first, and start " + e.Program() + "; or give --no-canary"
		}
		return nil, fmt.Errorf("%s does not know the runtime %s yet, which has to start a container before it becomes the default: %s", e.Name(), r.Name, remedy)
	}
	byName := r
	byName.Default = false
	first, err := Install(ctx, sys, e, byName)
	if err != nil {
		return nil, err
	}
	if reloads, err = steps(first); err != nil {
		return nil, err
	}
	var second *Plan
	apply := func(ctx context.Context) (err error) {
		if second, err = Install(ctx, sys, e, r); err != nil {
			return err
		}
		second.change = first.change // both changes are kept, or neither
		return second.apply(ctx)
	}
	read := func(ctx context.Context) error {
		reloads, err := steps(second)
		if err != nil || len(reloads) == 0 {
			return err
		}
		return reloads[0].Do(ctx)
	}
	return plan, first.CarryOut(ctx, append(reloads, Step{Do: try}, Step{Do: apply}, Step{Do: read})...)
}
