package try

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/awslabs/oci-add-hooks/internal/hooks"
)

// Report is the result of a try. --json prints it.
type Report struct {
	Runtime  string     `json:"runtime"`  // its path
	Rootless bool       `json:"rootless"` // the container was made in a user namespace
	Seconds  float64    `json:"seconds"`  // from the call of the runtime's create to the end of its delete
	Hooks    []Call     `json:"hooks"`    // in the order in which they ran; then those that were never called
	Process  Call       `json:"process"`  // the container's process
	NotAdded []NotAdded `json:"notAdded"` // files of hooks directories whose hooks are not for this container
	Problems []string   `json:"problems"` // empty if all is well
	Notes    []string   `json:"notes"`    // what else is worth knowing

	CleanedUp bool `json:"-"` // hooks had left something behind, which was removed: see Notes
}

// Call is one run of a hook or of the container's process, or the fact that it was never called.
type Call struct {
	Stage      hooks.Stage `json:"stage"` // empty for the container's process
	Path       string      `json:"path"`
	Args       []string    `json:"args"` // with argv[0]
	File       string      `json:"file"` // the file that the hook comes from
	Result     Result      `json:"result"`
	Start      *float64    `json:"startSeconds"` // since the call of create; null if it was never called
	Took       *float64    `json:"seconds"`      // null if it was never called; until the end of the container if it was killed
	ExitStatus *int        `json:"exitStatus"`   // null if there is none: see Result, Signal
	Signal     string      `json:"signal"`       // the name of the signal that ended it, if one did
	Error      string      `json:"error"`        // why it could not be started
	Stdout     string      `json:"stdout"`
	Stderr     string      `json:"stderr"`
	Truncated  bool        `json:"truncated"` // it printed more than is kept: 64 KiB for each stream
	Ignored    bool        `json:"ignored"`   // it failed, and its failure policy is ignore: see supervise
	Held       bool        `json:"held"`      // processes that it had started kept its output open after its end: runc waits for them

	begin, end int64         // in nanoseconds since 1970; end is 0 if unknown
	own        time.Duration // the hook's own timeout, 0 for none
	limit      time.Duration // --timeout
}

// Result is the result of a call.
type Result string

// The results.
const (
	OK          Result = "ok"
	Failed      Result = "failed"       // its exit status was not 0, or a signal ended it
	Hung        Result = "hung"         // it was ended when --timeout had passed
	TimedOut    Result = "timed out"    // it was ended when its own timeout had passed
	Killed      Result = "killed"       // it was ended from outside
	NotStarted  Result = "not started"  // its program could not be executed
	Interrupted Result = "interrupted"  // it was ended because hookctl was
	NeverCalled Result = "never called" // by the runtime
	Running     Result = "running"      // in a report of what has happened so far
)

// NotAdded is a file of a hooks directory whose hook is not added.
type NotAdded struct {
	File   string `json:"file"`
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// call returns a call of the task that has not been made. For a supervised hook, it is that of the hook, not of the
// supervisor.
func (t *task) call() Call {
	c := Call{Stage: t.stage, Path: t.Path, Args: t.Args, File: t.file, Result: NeverCalled, own: t.Own, limit: t.Limit}
	if t.supervised != nil {
		c.Path, c.Args = t.Args[t.Supervised+1], t.Args[t.Supervised+2:]
		c.own = time.Duration(t.supervised.Timeout) * time.Second
	}
	return c
}

// place sets the start and the duration of the call on the time line from begin to end.
func (c *Call) place(begin, end int64) {
	if c.Result == NeverCalled {
		return
	}
	if c.end == 0 { // the recorder was killed, so the end is not recorded
		c.end = end
	}
	start, took := seconds(c.begin-begin), seconds(c.end-c.begin)
	c.Start, c.Took = &start, &took
}

// seconds returns nanoseconds in seconds, to the microsecond.
func seconds(ns int64) float64 { return float64(ns/1000) / 1e6 }

// name returns the name of the call in a message.
func (c *Call) name() string {
	if c.Stage == "" {
		return "the container's process " + c.Path
	}
	name := fmt.Sprintf("the %s hook %s", c.Stage, c.Path)
	if c.File != "" {
		name += " (" + c.File + ")"
	}
	return name
}

// problem returns the problem with the result of the call; "" if there is none.
func (c *Call) problem() string {
	what := c.name()
	switch c.Result {
	case Failed:
		return what + " failed: " + c.how()
	case Hung:
		return fmt.Sprintf("%s hung: it was ended after %v (--timeout)", what, c.limit)
	case TimedOut:
		return fmt.Sprintf("%s timed out after %d s", what, int(c.own.Seconds()))
	case Killed:
		return what + " was ended from outside"
	case NotStarted:
		return what + " could not be started: " + c.Error
	case Interrupted:
		return what + " was running when it was interrupted"
	case NeverCalled:
		return what + " was never called"
	}
	return ""
}

// how returns the signal or the exit status by which the call failed.
func (c *Call) how() string {
	if c.Signal != "" || c.ExitStatus == nil {
		return c.Signal
	}
	return "exit " + strconv.Itoa(*c.ExitStatus)
}

// faults returns the problems: hooks that failed, what the runtime reports, and hooks that were never called. If the
// container failed before its process was called, that is a consequence, and no problem of its own.
func (r *Report) faults(runtime []string) []string {
	var failed, never []string
	for _, c := range r.InOrder() {
		if c.Held {
			failed = append(failed, c.name()+" left something running that keeps its output open: runc goes on only when that has ended, "+
				"whatever the hook's timeout is; give it another output, such as >/dev/null 2>&1")
		}
		switch p := c.problem(); {
		case p == "" || c.Ignored:
		case c.Result != NeverCalled:
			failed = append(failed, p)
		default:
			never = append(never, p)
		}
	}
	if faults := slices.Concat(failed, runtime); r.Process.Result == NeverCalled && len(faults) > 0 {
		return faults
	}
	return slices.Concat(failed, runtime, never)
}

// add adds the calls of a task.
func (r *Report) add(t *task, calls []Call) {
	if t.stage == "" {
		if len(calls) > 0 {
			r.Process = calls[0]
		}
		return
	}
	r.Hooks = append(r.Hooks, calls...)
}

// sort sorts the hooks by the time at which they began. Those that were never called come last.
func (r *Report) sort() {
	slices.SortStableFunc(r.Hooks, func(a, b Call) int {
		switch {
		case a.Start == nil && b.Start == nil:
			return 0
		case a.Start == nil:
			return 1
		case b.Start == nil:
			return -1
		}
		return cmp.Compare(a.begin, b.begin)
	})
}

// InOrder returns the hooks and the container's process in the order in which they began. A process that has not begun
// yet is omitted.
func (r *Report) InOrder() []Call {
	if r.Process.Result == "" {
		return r.Hooks
	}
	at := slices.IndexFunc(r.Hooks, func(c Call) bool {
		return c.Start == nil || r.Process.Start != nil && *c.Start > *r.Process.Start
	})
	if at < 0 {
		at = len(r.Hooks)
	}
	return slices.Insert(slices.Clone(r.Hooks), at, r.Process)
}
