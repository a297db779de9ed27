package doctor

import (
	"context"
	"fmt"

	"github.com/awslabs/oci-add-hooks/internal/hookctl/canary"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/engine"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
)

// Prove starts a container with a runtime of an engine, and returns the result as text. It returns an error if
// oci-add-hooks was not in the path.
func Prove(ctx context.Context, sys system.System, e engine.Engine, exe, name string) (string, error) {
	lines, err := canaries(ctx, sys, e, exe, name)
	switch {
	case err != nil:
		return "", err
	case len(lines) == 0:
		return "", fmt.Errorf("the engine's configuration cannot be read: hookctl doctor %s says why", e.Name())
	case lines[0].Status == Error:
		return "", fmt.Errorf("%s does not become the default: %s; where the engine cannot run, use --no-canary", name, lines[0].Message)
	}
	return lines[0].Message, nil
}

// canaries runs a container with each runtime of an engine that leads to the oci-add-hooks at exe, or only with the one
// called name, and returns the results. An interrupt is an error.
func canaries(ctx context.Context, sys system.System, e engine.Engine, exe, name string) (lines []Line, err error) {
	registered, err := e.Registered(ctx)
	if err != nil {
		return nil, nil // examine reports the error
	}
	line := Line{Engine: e.Name(), Config: e.Config(), About: "canary"}
	for _, entry := range registered.Entries {
		if name != "" && entry.Name != name || name == "" && !Concerns(sys, entry, exe) {
			continue
		}
		line.Runtime = entry.Name
		lines = append(lines, ofCanary(ctx, line, e, entry, exe))
		if ctx.Err() != nil {
			return nil, fmt.Errorf("interrupted, at the canary of %s: %s", entry.Name, lines[len(lines)-1].Message)
		}
	}
	if name != "" && len(lines) == 0 {
		line.Runtime, line.Status = name, Error
		line.Message, line.Remedy = "the engine's configuration has no such runtime", "hookctl install "+e.Name()+" --profile "+name
		lines = append(lines, line)
	}
	return lines, nil
}

// ofCanary runs a container with a runtime of an engine, and returns line with the result.
func ofCanary(ctx context.Context, line Line, e engine.Engine, entry engine.Entry, exe string) Line {
	uses, err := OfEntry(entry, exe)
	var proof canary.Proof
	if err == nil {
		proof, err = canary.Run(ctx, canary.Options{Engine: e, Runtime: entry.Name, Link: entry.Path, Program: exe, Uses: uses})
	}
	switch {
	case err != nil:
		line.Status, line.Message = Error, err.Error()
	case proof.Hooks == 0:
		line.Status, line.Message = Warning, "not proven by a hook: a container ran, and its engine calls "+proof.Calls+", but no hook of the profile is for it"
		line.Remedy = "run a container that the profile's conditions are for, and see hookctl preview --id ID"
	default:
		hooks := "a hook"
		if proof.Hooks > 1 {
			hooks = fmt.Sprintf("%d hooks", proof.Hooks)
		}
		line.Status, line.Message = OK, fmt.Sprintf("a container ran; its engine calls %s, and its config.json holds %s of the profile", proof.Calls, hooks)
	}
	return line
}
