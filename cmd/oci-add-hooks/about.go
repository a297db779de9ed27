package main

import (
	"fmt"
	"os"

	"github.com/awslabs/oci-add-hooks/internal/build"
)

// version and commit are set by the linker in a release.
var version, commit string

// spec is the version of the runtime specification that defines the supported hooks.
const spec = "1.2.1"

// printVersion prints the lines that dockerd expects from a runtime's --version (issues 3 and 10 of
// awslabs/oci-add-hooks).
func printVersion() error {
	version, commit := build.Of(version, commit)
	_, err := fmt.Printf("oci-add-hooks version %s\ncommit: %s\nspec: %s\n", version, commit, spec)
	return err
}

func printHelp() error {
	_, err := os.Stdout.WriteString(help)
	return err
}

const help = `oci-add-hooks adds lifecycle hooks to a container and becomes the real OCI runtime.

usage: oci-add-hooks [OPTION]... [RUNTIME OPTION]... COMMAND [ARGUMENT]...
       NAME [RUNTIME OPTION]... COMMAND [ARGUMENT]...

  --hook-config-path FILE  add the hooks of this hook file (repeatable)
  --hooks-dir DIR          add the hooks of this hooks directory, oci-hooks(5),
                           whose conditions hold (repeatable)
  --runtime-path RUNTIME   the real runtime, by name or path (else the hook
                           file's "runtime", else runc)
  --version, --help        alone on the command line: this program's own

Without --hook-config-path and --hooks-dir, the hook file is
/etc/oci-add-hooks/NAME.json, NAME being the name of the link by which the
program is called.

On create, run and restore the hooks are added to those in the bundle's
config.json. Everything else goes to the runtime as it is. If hooks cannot be
added, no container is started, and the runtime's --log and standard error say
why.

A hook file: {"runtime": "runc", "hooks": {"createRuntime": [
  {"path": "/usr/local/bin/my-hook", "args": ["my-hook"], "timeout": 10}]}}
`
