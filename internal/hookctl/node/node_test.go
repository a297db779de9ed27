package node

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/registration"
)

// TestCarryOut: a step that fails is undone with those before it, the last first; so it is at an interrupt.
func TestCarryOut(t *testing.T) {
	var did []string
	step := func(name string, err error) registration.Step {
		return registration.Step{
			Do:   func(context.Context) error { did = append(did, name); return err },
			Undo: func(ctx context.Context) error { did = append(did, "not "+name); return ctx.Err() },
		}
	}
	fault := errors.New("fault")
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for _, test := range []struct {
		ctx   context.Context
		steps []registration.Step
		want  error
		did   []string
	}{
		{t.Context(), []registration.Step{step("a", nil), step("b", nil)}, nil, []string{"a", "b"}},
		{t.Context(), []registration.Step{step("a", nil), step("b", fault), step("c", nil)}, fault, []string{"a", "b", "not b", "not a"}},
		{interrupted, []registration.Step{step("a", nil), step("b", nil)}, context.Canceled, []string{"a", "not a"}},
	} {
		did = nil
		if err := carryOut(test.ctx, test.steps); !errors.Is(err, test.want) || !slices.Equal(did, test.did) {
			t.Errorf("did %q, and %v; want %q, and %v", did, err, test.did, test.want)
		}
	}
}
