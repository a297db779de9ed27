package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/canary"
	"github.com/awslabs/oci-add-hooks/internal/profile"
)

// Canary reports whether an installation ends by running a pod with the handler.
type Canary int

// When an installation runs a canary.
const (
	CanaryIfPossible Canary = iota // if the engine has what this needs, such as the sandbox image
	CanaryAlways
	CanaryNever
)

// canary runs a pod with the handler, and returns an error if it does not start with its hooks.
func (n *Node) canary(ctx context.Context) error {
	if n.Canary == CanaryNever {
		return nil
	}
	uses, err := profile.Load(cmdline.Call{Kind: cmdline.AddHooks, HookFiles: []string{n.System.Profile(n.Profile)}})
	if err != nil {
		return err
	}
	proof, err := canary.Run(ctx, canary.Options{Engine: n.Engine, Runtime: n.Profile, Link: n.link(), Program: n.program(), Uses: uses})
	var impossible canary.Impossible
	switch {
	case errors.As(err, &impossible) && n.Canary == CanaryIfPossible:
		n.Say("no canary: " + err.Error())
	case err != nil:
		return fmt.Errorf("the canary with the handler %s failed: %w", n.Profile, err)
	case proof.Hooks == 0:
		n.Say("canary: a container ran by " + proof.Calls + "; no hook of the profile is for it")
	default:
		n.Say(fmt.Sprintf("canary: a container ran by %s, with the profile's hooks (%d)", proof.Calls, proof.Hooks))
	}
	return nil
}
