// Without this, Go watches for changes of the number of CPUs: some 50 microseconds of each call.
//go:debug updatemaxprocs=0

// Oci-add-hooks is an OCI runtime that adds lifecycle hooks to a container's config.json and then becomes the real
// runtime. See docs/reference.md for its use and docs/design.md for its rules.
package main

import (
	"os"
	"runtime"
	"runtime/debug"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	_ "github.com/awslabs/oci-add-hooks/internal/early" // runs before main, if it runs: see its documentation
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/profile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// The parent-death signal that an engine sets belongs to the process's first thread, and is lost if another one execs.
// Only while init functions run is it certain that this is the first thread.
func init() { runtime.LockOSThread() }

func main() {
	call, err := cmdline.Parse(os.Args)
	if err == nil {
		err = run(&call)
	}
	if err != nil {
		report.Error(err, logOf(call))
		os.Exit(1)
	}
}

// run returns only if the call is one for this program itself, or if something fails.
func run(call *cmdline.Call) error {
	switch call.Kind {
	case cmdline.Version:
		return printVersion()
	case cmdline.Help:
		return printHelp()
	case cmdline.AddHooks:
		growStack()
	}
	uses, err := profile.Load(*call)
	if err != nil {
		return err
	}
	runtimePath, err := launch.Find(uses.Runtime)
	if err != nil {
		return err
	}
	if call.Kind == cmdline.AddHooks {
		if err := addHooks(&uses, call); err != nil {
			return err
		}
	}
	return launch.Exec(runtimePath, call.Args)
}

func addHooks(uses *profile.Profile, call *cmdline.Call) error {
	// Garbage is not worth collecting in a process that lives for milliseconds and holds a few times what it reads: with a
	// config.json of 10 MB, collecting it takes as long as all the rest.
	debug.SetGCPercent(-1)
	plan, err := inject.Make(*uses, call.ConfigPath, call.ID)
	if err != nil {
		return err
	}
	if err := plan.CarryOut(); err != nil {
		return err
	}
	if call.Debug {
		report.Debug(plan.String(), logOf(*call))
	}
	return nil
}

func logOf(call cmdline.Call) report.Log { return report.Log{Path: call.Log, Format: call.LogFormat} }
