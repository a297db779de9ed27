// Without this, Go watches for changes of the number of CPUs, which costs some 50 microseconds for each hook.
//go:debug updatemaxprocs=0

// Oci-run-hook runs one lifecycle hook of a container with limits, reports a failure with the hook's name, and records
// the run. docs/supervision.md describes its use, and docs/design.md its rules, 23 to 28.
package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/hooklog"
	"github.com/awslabs/oci-add-hooks/internal/hookrun"
	"github.com/awslabs/oci-add-hooks/internal/report"
)

// The hook dies with the thread that starts it. Only init functions certainly run on the first thread, which lives as
// long as the process.
func init() { runtime.LockOSThread() }

func main() {
	o, err := parse(os.Args[1:])
	switch {
	case err != nil:
		say(err.Error())
		os.Exit(statusOwn)
	case o.help:
		os.Stdout.WriteString(help)
		return
	case o.version:
		printVersion()
		return
	}
	keepFromHook()
	begin := time.Now()
	state, stdin, err := readState(os.Stdin, o.limit)
	late := time.Since(begin)
	run := hookrun.Outcome{Result: hookrun.NotStarted, Begin: begin, End: begin.Add(late), Err: err}
	stdout, stderr := hookrun.Tail{Size: kept}, hookrun.Tail{Size: kept}
	if err == nil {
		run = hookrun.Run(context.Background(), hookrun.Hook{
			Path: o.path, Args: o.args, Env: state.environment(os.Environ(), o.stage), Stdin: stdin,
			Stdout: &stdout, Stderr: &stderr, Limit: max(o.limit-max(0, late-lateness), 1),
		})
	}
	ignored := run.Result != hookrun.OK && o.ignore
	if err := record(o, state, run, ignored, &stdout, &stderr); err != nil {
		say("no record of " + o.hook() + ": " + err.Error())
	}
	if run.Result == hookrun.OK || ignored {
		return
	}
	printed := ""
	if !o.statusOnly {
		printed = lastPrinted(&stdout, &stderr)
	}
	say(o.hook() + ": " + outcome(run, o.limit) + printed)
	exit(run)
}

// lateness is how much later than this process the hook may start without losing time: the runtime may take a while to
// write the state. The runtime's timeout for this process is a few seconds longer than the hook's (package inject).
const lateness = 2 * time.Second

// keepFromHook makes all inherited descriptors except standard input, output and error close-on-exec. Otherwise a
// process that a hook leaves running would block everyone who waits for the end of such a descriptor (rule 25).
func keepFromHook() {
	const first, mostWithoutLinux511 = 3, 1024
	if unix.CloseRange(first, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	for fd := first; fd < mostWithoutLinux511; fd++ {
		unix.CloseOnExec(fd)
	}
}

// kept is the number of bytes that are kept of each stream.
const kept = 8 << 10

// say prints a message to standard error, which engines show.
func say(message string) { report.Line("oci-run-hook", message) }

// record appends a record of the run.
func record(o options, s state, run hookrun.Outcome, ignored bool, stdout, stderr *hookrun.Tail) (err error) {
	path := o.records
	if path == "" {
		if path, err = report.Records(); err != nil {
			return err
		}
	}
	r := hooklog.Record{
		Time: run.Begin, Seconds: run.End.Sub(run.Begin).Seconds(), Stage: o.stage, Path: o.path, Args: o.args,
		Container: s.ID, PodNamespace: s.pod.Namespace, PodName: s.pod.Pod, ContainerName: s.pod.Container, Bundle: s.Bundle,
		Profile: o.profile, File: o.file, Place: o.place, Result: string(run.Result), Ignored: ignored,
	}
	switch {
	case run.Signal != 0:
		r.Signal = signalName(run.Signal)
	case run.Result != hookrun.NotStarted:
		r.ExitStatus = &run.Status
	}
	if run.Err != nil {
		r.Error = run.Err.Error()
	}
	if !o.statusOnly {
		r.Stdout, r.Stderr = string(stdout.Bytes()), string(stderr.Bytes())
		r.Truncated = stdout.Truncated || stderr.Truncated
	}
	return hooklog.Append(path, &r)
}

// outcome returns how a hook failed, for a message.
func outcome(run hookrun.Outcome, limit time.Duration) string {
	text := ""
	switch {
	case run.Result == hookrun.NotStarted:
		return run.Err.Error()
	case run.Result == hookrun.TimedOut:
		text = fmt.Sprintf("timed out after %d s", int(limit.Seconds()))
	case run.Signal != 0:
		text = "ended by " + signalName(run.Signal)
	default:
		text = fmt.Sprintf("exit status %d", run.Status)
	}
	if run.Err != nil {
		text += "; " + run.Err.Error()
	}
	return text
}
