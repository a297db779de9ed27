// Hookctl is the tool for people who write and ship hooks for oci-add-hooks. docs/hookctl.md shows its use.
package main

import (
	"os"

	"github.com/awslabs/oci-add-hooks/internal/build"
	"github.com/awslabs/oci-add-hooks/internal/hookctl"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/canary"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/system"
	"github.com/awslabs/oci-add-hooks/internal/hookctl/try"
)

// version is set by the linker in a release.
var version string

func main() { run(system.Host()) }

func run(sys system.System) {
	if try.IsRole(os.Args) { // a runtime called it instead of a hook that is tried
		os.Exit(try.Role(os.Args))
	}
	if canary.IsRole(os.Args) { // a runtime called it, in a container
		canary.Role(os.Args)
		return
	}
	cmd := hookctl.New(sys, os.Stdin, os.Stdout, os.Stderr)
	cmd.Version, _ = build.Of(version, "")
	os.Exit(hookctl.Execute(cmd))
}
