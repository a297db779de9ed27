// Package hookrun runs one hook with limits of its time, its output and the processes that it leaves running.
//
// It starts a program as a runtime starts a hook, and kills it with all its descendants when its time is up. It does
// not know where hooks come from, what a failure means for the container, or where records are written.
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

// Hook is a program to run.
type Hook struct {
	Path string
	Args []string // the arguments, including argv[0]
	Env  []string // the complete environment

	// Stdin is the hook's standard input. The hook inherits a file; any other reader passes through a pipe; nil is
	// /dev/null.
	Stdin io.Reader

	// Stdout and Stderr receive the hook's output as it prints it. Run ignores their errors, so that the hook does not
	// notice them.
	Stdout, Stderr io.Writer

	// Limit is the hook's time limit; 0 means no limit.
	Limit time.Duration

	// Patience, if it is not 0, lets Run find out whether a runtime would wait (Outcome.Held): it is how long processes
	// that the hook has started may keep its output open after the hook has ended.
	Patience time.Duration
}

// Result says how a run of a hook ended.
type Result string

// The results. If a hook fails or is killed, all processes that it has started are killed too. After a success they
// continue to run.
const (
	OK          Result = "ok"
	Failed      Result = "failed"      // it exited with a status other than 0, or a signal ended it
	TimedOut    Result = "timed out"   // it was killed after Limit
	NotStarted  Result = "not started" // its program could not be executed
	Interrupted Result = "interrupted" // it was killed because the context ended
)

// Outcome describes a run of a hook.
type Outcome struct {
	Result     Result
	Begin, End time.Time
	Status     int            // the exit status; 0 if Signal is set or there is none
	Signal     syscall.Signal // the signal that ended the hook; 0 if none did

	// Held reports whether processes that the hook had started kept its output open for longer than Patience after the
	// hook had ended or its time was up. A runtime such as runc waits for them, because it kills only a hook's first
	// process.
	Held bool

	// Err says why the hook could not be started, that descendants could not be killed, or that Signal was sent to its
	// parent. Its text contains no phrase that engines act on (rule 19).
	Err error
}

// errParentEnded is the error of a hook whose parent was ended by a signal. Without a supervisor, the parent is the
// runtime.
var errParentEnded = errors.New("the signal was sent to its parent process")

// Run runs a hook until it exits, its time is up, or ctx ends. The hook inherits the working directory and all other
// attributes of the calling process.
//
// The calling process must have no other children, because it becomes the reaper of the hook's descendants. It becomes
// the leader of a new process group. It forwards signals that would end it to the hook's group, which would otherwise
// have received them in the runtime's group. The hook's parent is another process, the stand-in, in a third group. If
// the hook ends the stand-in or its group by a signal, the hook has failed by that signal.
func Run(ctx context.Context, h Hook) Outcome {
	o := Outcome{Begin: time.Now()}
	// A runtime may kill this process. The hook dies with the thread that starts it.
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
	_ = unix.Setpgid(0, 0) // fails for the leader of a session, which already leads its group
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

// input returns the file that the hook reads. If it is a pipe, input sets f.stdin to its write end.
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

// notExecutable returns an error that says why the program at path could not be executed, and what to do.
func notExecutable(path string, err error) error {
	var st unix.Stat_t
	isThere := unix.Stat(path, &st) == nil
	why, remedy := report.Plain(err).Error(), report.Remedy(err)
	switch {
	case report.IsOfInterpreter(path, err):
		why, remedy = "the interpreter that it names is not installed (ENOENT)", "see its first line"
	case errors.Is(err, unix.ENOEXEC):
		remedy = "a script begins with #! and the path of its interpreter"
	case isThere && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		remedy = "a directory is there: give the path of a program"
	case isThere && st.Mode&0o111 == 0:
		remedy = "run: chmod +x " + path
	}
	return &Error{"cannot be executed: " + why + "; " + remedy, err}
}

// Error says why a hook could not be started. Err is the system error.
type Error struct {
	text string
	Err  error
}

func (e *Error) Error() string { return e.text }
func (e *Error) Unwrap() error { return e.Err }

// forwarded are the signals that end a process by default and that one process sends to another.
var forwarded = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGTERM,
	unix.SIGIO, unix.SIGPWR,
}

// Tail keeps the last bytes that are written to it.
type Tail struct {
	Size      int  // the number of bytes that are kept
	Truncated bool // more bytes were written
	kept      []byte
}

// Write writes all of p. It never fails.
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

// Bytes returns the kept bytes, without an incomplete UTF-8 character at the beginning.
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
