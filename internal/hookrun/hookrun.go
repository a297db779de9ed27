// Package hookrun runs one hook within bounds: its time, its output, and what it leaves running.
//
// It starts a program as a runtime starts a hook, and ends it with all its descendants when its time is up. It does not
// know where hooks come from, what a failure means for the container, or where records go.
package hookrun

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/awslabs/oci-add-hooks/internal/report"
)

// A Hook is a program to run.
type Hook struct {
	Path string
	Args []string // with argv[0]
	Env  []string // the whole environment

	// Stdin is what the hook reads: a file is inherited, anything else passes through a pipe, nil is /dev/null.
	Stdin io.Reader

	// Stdout and Stderr take what the hook prints, as it prints it. Their errors are ignored: a hook never notices.
	Stdout, Stderr io.Writer

	// Limit is the time that the hook has; 0 is without end.
	Limit time.Duration

	// Patience, if it is set, has Run find out whether a runtime would wait: how long what the hook has started may take to
	// close its output once the hook has ended.
	Patience time.Duration
}

// A Result is what became of a hook.
type Result string

// The results. A hook that is ended, or fails, takes with it what it has started; what a hook leaves running after a
// success lives on.
const (
	OK          Result = "ok"
	Failed      Result = "failed"      // it exited with another status than 0, or a signal ended it
	TimedOut    Result = "timed out"   // it was killed after Limit
	NotStarted  Result = "not started" // its program could not be executed
	Interrupted Result = "interrupted" // it was killed because the context ended
)

// An Outcome is how a hook ran.
type Outcome struct {
	Result     Result
	Begin, End time.Time
	Status     int            // the exit status; 0 if Signal is set or there is none
	Signal     syscall.Signal // that ended the hook; 0 if none did

	// Held reports whether what the hook had started kept its output open for more than Patience, though the hook had ended or
	// its time was up. A runtime such as runc waits for that: it ends a hook's first process alone.
	Held bool

	// Err says why the hook could not be started, which of its descendants could not be ended, or that Signal was sent to
	// its parent. Its text holds no phrase that engines act on.
	Err error
}

// errParentEnded is the error of a hook whose parent a signal has ended: without a supervisor that is the runtime.
var errParentEnded = errors.New("the signal was sent to its parent process")

// Run runs a hook until it exits, its time is up, or ctx ends. The working directory and all else that a process
// inherits are the calling process's.
//
// The calling process must have no other children: it becomes the reaper of the hook's descendants. It leads a process
// group of its own from then on. What signals it to end is passed on to the hook's group: the runtime's own process group
// would have received it. The hook's parent is another process, in a group of its own too: a hook that ends it, or that
// group, has failed by that signal.
func Run(ctx context.Context, h Hook) Outcome {
	o := Outcome{Begin: time.Now()}
	// The hook dies with the thread that starts it: a runtime may kill this process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	signals := make(chan os.Signal, 8)
	for _, s := range forwarded {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	defer func() { signal.Stop(signals); close(signals) }()
	f, err := start(h)
	if err != nil {
		o.Result, o.End, o.Err = NotStarted, time.Now(), err
		return o
	}
	go func() {
		for s := range signals {
			f.signal(s.(syscall.Signal))
		}
	}()
	o.Begin = f.begin
	var limit <-chan time.Time
	if h.Limit > 0 {
		limit = time.After(h.Limit - time.Since(o.Begin))
	}
	select {
	case <-f.exited:
	case <-limit:
		o.Result = TimedOut
	case <-ctx.Done():
		o.Result = Interrupted
	}
	if h.Patience > 0 && o.Result != Interrupted {
		if o.Result == TimedOut {
			f.killFirst()
		}
		o.End = time.Now()
		o.Held = held(h.Patience, f.stdout, f.stderr)
	}
	if o.Result == "" && f.succeeded {
		o.Result = OK
		f.reap()
	} else {
		o.Err = f.kill()
	}
	if o.End.IsZero() {
		o.End = time.Now()
	}
	f.stdout.end()
	f.stderr.end()
	if f.stdin != nil {
		f.stdin.Close()
	}
	switch {
	case o.Result == "" && f.sent != 0:
		o.Signal = f.sent
		if o.Err == nil {
			o.Err = errParentEnded
		}
	case f.status.Signaled():
		o.Signal = f.status.Signal()
	case f.status.Exited():
		o.Status = f.status.ExitStatus()
	}
	if o.Result == "" {
		o.Result = Failed
	}
	return o
}

// start starts a hook.
func start(h Hook) (_ *family, err error) {
	f := &family{exited: make(chan struct{})}
	if f.stdout, err = newStream(h.Stdout); err != nil {
		return nil, plumbing(err)
	}
	defer f.stdout.endUnless(&err)
	if f.stderr, err = newStream(h.Stderr); err != nil {
		return nil, plumbing(err)
	}
	defer f.stderr.endUnless(&err)
	stdin, err := f.input(h.Stdin)
	if err != nil {
		return nil, plumbing(err)
	}
	defer func() {
		if stdin != h.Stdin {
			stdin.Close()
		}
		if err != nil && f.stdin != nil {
			f.stdin.Close()
		}
	}()
	_ = unix.Setpgid(0, 0) // fails for the leader of a session, who leads its group already
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, plumbing(err)
	}
	f.begin = time.Now()
	f.parent, f.hook, err = startProgram(h, [3]int32{int32(stdin.Fd()), int32(f.stdout.hooks), int32(f.stderr.hooks)})
	if err != nil {
		return nil, err
	}
	go f.await()
	if f.stdin != nil {
		go func() { io.Copy(f.stdin, h.Stdin); f.stdin.Close() }()
	}
	return f, nil
}

// input returns the file that the hook reads. Where it is a pipe, f.stdin is its other end.
func (f *family) input(from io.Reader) (read *os.File, err error) {
	switch from := from.(type) {
	case nil:
		return os.Open(os.DevNull)
	case *os.File:
		return from, nil
	}
	read, f.stdin, err = os.Pipe()
	return read, err
}

func plumbing(err error) error {
	return &Error{"cannot be supervised: " + report.Plain(err).Error(), err}
}

// notExecutable says why the program at path could not be executed.
func notExecutable(path string, err error) error {
	why := report.Plain(err).Error()
	if report.IsOfInterpreter(path, err) {
		why = "the interpreter that it names is not installed (ENOENT); see its first line"
	}
	if errors.Is(err, unix.ENOEXEC) {
		why += "; a script begins with #! and the path of its interpreter"
	}
	return &Error{"cannot be executed: " + why, err}
}

// An Error is why a hook could not be started; Err is the system's error.
type Error struct {
	text string
	Err  error
}

func (e *Error) Error() string { return e.text }
func (e *Error) Unwrap() error { return e.Err }

// forwarded are the signals that end a process unless it says otherwise, and that one process sends to another.
var forwarded = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTERM,
	unix.SIGIO, unix.SIGPWR,
}

// A Tail keeps the last bytes of what is written to it.
type Tail struct {
	Size      int  // how many
	Truncated bool // there were more
	kept      []byte
}

// Write takes all of p.
func (t *Tail) Write(p []byte) (int, error) {
	n := len(p)
	if over := len(p) - t.Size; over > 0 {
		t.Truncated, p = true, p[over:]
	}
	if over := len(t.kept) + len(p) - t.Size; over > 0 {
		t.Truncated = true
		t.kept = t.kept[:copy(t.kept, t.kept[over:])]
	}
	t.kept = append(t.kept, p...)
	return n, nil
}

// Bytes returns what is kept. A character that lost its beginning is left out.
func (t *Tail) Bytes() []byte {
	if !t.Truncated {
		return t.kept
	}
	for i := range min(3, len(t.kept)) {
		if t.kept[i]&0xC0 != 0x80 {
			return t.kept[i:]
		}
	}
	return bytes.Clone(t.kept)
}
