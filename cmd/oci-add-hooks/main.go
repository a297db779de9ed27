// Without this, Go watches for changes of the number of CPUs, which costs some 50 microseconds in each call.
//go:debug updatemaxprocs=0

// Oci-add-hooks is an OCI runtime that adds lifecycle hooks to a container's config.json and then execs the real
// runtime. docs/reference.md describes its use, and docs/design.md its rules.
package main

import (
	"os"
	"runtime"
	"runtime/debug"

	"github.com/awslabs/oci-add-hooks/internal/cmdline"
	_ "github.com/awslabs/oci-add-hooks/internal/early" // may exec the runtime before Go's start: see its documentation
	"github.com/awslabs/oci-add-hooks/internal/inject"
	"github.com/awslabs/oci-add-hooks/internal/launch"
	"github.com/awslabs/oci-add-hooks/internal/profile"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// The parent-death signal that an engine sets belongs to the process's first thread, and is lost if another thread
// execs (rule 20). Only init functions certainly run on the first thread.
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

// run returns only if the call is for this program itself, or if something fails.
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
	// The process lives for milliseconds and allocates a few times the size of its input, so garbage collection does
	// not pay: with a config.json of 10 MB it takes as long as everything else.
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
